"""Annotators that ask a vision-language model behind a server that speaks OpenAI's chat completions.

Room by room, what is asked for comes down and what is answered goes up:

    annotator   questions become conversations (`prompts`, `asked`), and answers are read strictly (`answers`)
    dialogues   one question: an answer, a longer one where it was cut, one repair
    modes       how the server is asked for JSON: the strongest way that it has
    store       answers by the hash of what was asked, who paid for them, and what is being asked: one SQLite file
    line        the parent's end of the keeper: a process that makes the calls and outlives a kill of ours
    caller      one answer: the store, the budget, attempts with pauses, the store again
    transport   one attempt: one HTTP request, whose whole time is bounded
"""
