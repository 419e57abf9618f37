#!/bin/sh
# Run the tests of numbers as other processors would: the libraries under torch are told to use older instructions.
#   sh scripts/processors.sh PYTHON LEVEL... [-- pytest's arguments]
# With TESTS=tests in the environment every test is run so, not only those of numbers.
# LEVEL: avx512_bf16 (AMD since Zen 4, Intel without AMX), avx512, avx2, sse. A level above what the processor has is
# the processor itself. What an emulated level cannot show is how wide a processor's own kernels split their sums.
set -eu
python=$1
shift
levels=
while [ $# -gt 0 ] && [ "$1" != -- ]; do
    levels="$levels $1"
    shift
done
[ $# -eq 0 ] || shift

here=$(dirname "$0")
tests=$(cd "$here/../tests" && pwd)

beside() {
    "$python" -m pytest -n auto --dist loadfile --no-loadscope-reorder "$@"
}

chosen() {
    if [ -n "${TESTS:-}" ]; then
        beside "$@" "$TESTS"
    else
        beside "$@" "$tests"/test_model_*.py "$tests"/test_engine_*.py "$tests"/test_policy.py \
            "$tests"/test_rounding.py "$tests"/test_train_loss.py "$tests"/test_janus.py \
            "$tests"/test_evaluate.py::test_scores_are_the_same_for_any_number_of_workers \
            "$tests"/test_evaluate.py::test_the_first_dream_is_the_same_alone_and_in_a_lookahead \
            "$tests"/test_evaluate.py::test_a_run_that_was_cut_goes_on_and_ends_with_the_same_summary
    fi
}

for level in $levels; do
    case $level in
        avx512_bf16) onednn=AVX512_CORE_BF16 mkl=AVX512 aten=avx512 ;;
        avx512) onednn=AVX512_CORE mkl=AVX512 aten=avx512 ;;
        avx2) onednn=AVX2 mkl=AVX2 aten=avx2 ;;
        sse) onednn=SSE41 mkl=SSE4_2 aten=default ;;
        *) echo "unknown level '$level': avx512_bf16, avx512, avx2 or sse" >&2; exit 2 ;;
    esac
    echo "as a processor with $level"
    ONEDNN_MAX_CPU_ISA=$onednn MKL_ENABLE_INSTRUCTIONS=$mkl ATEN_CPU_CAPABILITY=$aten chosen "$@"
done
