"""Turn a pip resolution report (standard input) into requirements.lock (standard output): exact versions, sorted.

Left out: this project, and the nvidia-*, cuda-* and triton packages that torch asks for on Linux (several GB; the
CPU build of the same version needs none of them). A local version label (+cpu) goes too, so that any build serves.
"""

import json
import re
import sys

LEFT_OUT = re.compile(r"(nvidia|cuda|triton|closing)-")

HEADER = """\
# Every exact version of the deployment and its development tools, made by `make lock` from requirements.txt and
# pyproject.toml. Installed with --no-deps, so that nothing else is ever added; without any nvidia or triton package.
"""

report = json.load(sys.stdin)
pins = {}
for item in report["install"]:
    name = re.sub(r"[-_.]+", "-", item["metadata"]["name"]).lower()
    if not LEFT_OUT.match(f"{name}-"):
        pins[name] = item["metadata"]["version"].partition("+")[0]
sys.stdout.write(HEADER + "".join(f"{name}=={version}\n" for name, version in sorted(pins.items())))
