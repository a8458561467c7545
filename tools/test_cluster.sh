#!/usr/bin/env bash
# The tests on a SLURM and on two machines, which they start themselves here: tests/cluster. What they want is installed
# where that can be done; where it cannot, they skip and say what is missing.
set -uo pipefail
cd "$(dirname "$0")/.."

export PATH=$PATH:/usr/sbin:/sbin
if ! command -v slurmctld >/dev/null && [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null; then
    echo "Installing Debian's slurm-wlm, munge and iproute2 ..."
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq slurm-wlm munge iproute2 >/dev/null ||
        echo "They could not be installed."
fi
if ! python -c "import snakemake_executor_plugin_slurm" 2>/dev/null; then
    python -m pip install --disable-pip-version-check --quiet -e ".[cluster]" || echo "The extra could not be installed."
fi
exec python -m pytest tests/cluster
