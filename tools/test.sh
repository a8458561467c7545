#!/usr/bin/env bash
# All tests but those on clusters, in two halves at once: those that need the smoke pipeline's results wait for it, the
# others need not.
set -uo pipefail
cd "$(dirname "$0")/.."
mkdir -p _build/test
others=_build/test/others.log

echo "Two halves run at once. This one waits for the smoke pipeline first (minutes); the other one writes $others."
python -m pytest -m "not pipeline and not cluster" --ignore tests/notebooks.yml >"$others" 2>&1 &
trap 'kill $! 2>/dev/null' EXIT
python -m pytest -m pipeline
first=$?
wait $!
second=$?
trap - EXIT
echo "The other half:"
cat "$others"
exit $((first || second))
