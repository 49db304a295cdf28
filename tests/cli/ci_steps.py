"""Checks profiles/ci/action.yml and gitlab.yml, and writes the shell of their steps into a folder:
NAME.sh with the variables a runner would set. Usage: ci_steps.py SOURCE OUT KEY=VALUE...; the keys are
what expressions name, like inputs.archive or github.action_ref."""
import re
import shlex
import sys

import yaml

source, out = sys.argv[1:3]
given = dict(word.split("=", 1) for word in sys.argv[3:])


def load(name):
    with open(f"{source}/profiles/ci/{name}", encoding="utf-8") as f:
        return yaml.safe_load(f)


def need(condition, what):
    if not condition:
        sys.exit(f"ci_steps: {what}")


action = load("action.yml")
need(action["runs"]["using"] == "composite", "the action is not composite")
steps = action["runs"]["steps"]
ids = {s["id"] for s in steps if "id" in s}
used = set()


def resolve(text, known):
    """A runner's value of a text with expressions; those of unknown steps stay for the test."""
    def one(match):
        name = match.group(1)
        if name.startswith("inputs."):
            key = name[len("inputs."):]
            need(key in action["inputs"], f"{name} is not declared")
            used.add(key)
            return given.get(name, str(action["inputs"][key]["default"]))
        if name.startswith("steps."):
            parts = name.split(".")
            need(parts[1] in ids and parts[2] == "outputs", f"{name}: no such step")
            need(parts[1] in known, f"{name}: that step comes later")
            return "${output_%s_%s}" % (parts[1], parts[3])
        need(name.startswith("github."), f"{name}: unknown context")
        return given.get(name, "")
    return re.sub(r"\$\{\{\s*([\w.-]+)\s*\}\}", one, text)


known = set()
for i, step in enumerate(steps):
    if "uses" in step:
        need(re.fullmatch(r"[\w-]+/[\w-]+@v\d+", step["uses"]), f"{step['uses']} has no version")
        for value in step["with"].values():
            resolve(str(value), ids)
        continue
    need(step["shell"] == "bash", "a step without a shell")
    need("${{" not in step["run"], "an expression in a script is an injection: pass it by env")
    with open(f"{out}/step{i}.sh", "w", encoding="utf-8") as f:
        for key, value in step.get("env", {}).items():
            f.write('export %s="%s"\n' % (key, resolve(str(value), known)))
        f.write("set -eo pipefail\n" + step["run"])
    known.add(step.get("id"))
for value in action["outputs"].values():
    resolve(value["value"], ids)
need(used == set(action["inputs"]), f"inputs that nothing uses: {set(action['inputs']) - used}")
need(all("description" in x for x in action["inputs"].values()), "an input without a description")

for name, job in load("gitlab.yml").items():
    need(isinstance(job["script"], list) and job["stage"], f"{name} is no job")
    need(job["artifacts"]["reports"]["junit"].startswith(job["artifacts"]["paths"][0]), "no junit")
    with open(f"{out}/gitlab.sh", "w", encoding="utf-8") as f:
        f.write("set -e\n")
        for key, value in job["variables"].items():
            f.write(f"export {key}={value if value.startswith('$') else shlex.quote(value)}\n")
        f.write("\n".join(job["before_script"] + job["script"]) + "\n")
