"""Teachers: scripted experts with privileged state, and adapters to trained ones."""

from rig.teachers.base import TEACHERS, RandomTeacher, Teacher

__all__ = ["TEACHERS", "RandomTeacher", "Teacher"]
