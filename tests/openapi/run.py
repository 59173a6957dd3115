"""Holds what /openapi.json says against what the server does, with schemathesis, as every sort of caller.

    python run.py BINARY [--examples N] [--seed N] [--as CALLER]...

BINARY is started on a scratch folder. schemathesis has to be installed beside this python: see requirements.txt.
A caller is one of nobody, customer, staff, admin, key and admin-key; all of them unless some are named.
"""

import argparse
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import urllib.request

HERE = pathlib.Path(__file__).parent
CALLERS = ["nobody", "customer", "staff", "admin", "key", "admin-key"]
ADMIN_KEY = "an-admin-key-for-tests"
READY = "relampago listening on "
# The links that calls have followed, a line each.
FOLLOWED = "followed"
# Left out: that whatever fits a schema is accepted, for the rules of names, skus and passwords are finer than a schema;
# and that credentials matter, for these go to the server around schemathesis. Who may call what is tested elsewhere.
LEFT_OUT = "positive_data_acceptance,ignored_auth"
# A phase of calls that follow each other ends by chance after some dozens of them, and leads along a third of the links:
# it is repeated so often at most, as those who may do the most, until every link has been followed.
MOST_REPEATS = 4
# With fewer of them followed something is wrong with the links, or with what makes the requests.
LEAST_FOLLOWED = 0.4


def start(binary, folder, log):
    """The server and its URL."""
    settings = {name: value for name, value in os.environ.items() if not name.startswith("RELAMPAGO_")}
    settings["RELAMPAGO_AUTH__BOOTSTRAP_API_KEY"] = ADMIN_KEY
    command = [binary, "serve", "--addr", "127.0.0.1:0", "--data", f"{folder}/data"]
    server = subprocess.Popen(command, env=settings, stdout=subprocess.PIPE, stderr=log, text=True)
    for line in server.stdout:
        if line.startswith(READY):
            return server, line.removeprefix(READY).strip().rstrip("/")
    sys.exit(f"the server ended before it was ready: {server.wait()}")


def links(url):
    """The links of the document, as schemathesis names them but for where they lead."""
    with urllib.request.urlopen(f"{url}/openapi.json") as response:
        paths = json.load(response)["paths"]
    return {
        f"{method.upper()} {path} -> [{status}] {link}"
        for path, item in paths.items()
        for method, operation in item.items()
        for status, answer in operation["responses"].items()
        for link in answer.get("links", {})
    }


def follow_links(url, options, folder):
    """Goes on until the links have been followed to a success. Gives the callers for whom something was wrong."""
    file, wanted, failed = pathlib.Path(folder, FOLLOWED), links(url), []
    for repeat in range(MOST_REPEATS + 1):
        missing = wanted - {line.rpartition(" -> ")[0] for line in file.read_text().splitlines()}
        if not missing or repeat == MOST_REPEATS:
            break
        caller = ["admin-key", "customer"][repeat % 2]
        if not check(url, caller, options, folder, options.seed + 1 + repeat, "--phases=stateful"):
            failed.append(caller)
    print(f"\n{len(wanted) - len(missing)} of {len(wanted)} links were followed to a success; not so:", *sorted(missing), sep="\n  ")
    if len(wanted) - len(missing) < LEAST_FOLLOWED * len(wanted):
        failed.append("whoever follows links")
    return failed


def check(url, caller, options, folder, seed, *more):
    """Whether all is as the document says."""
    program = pathlib.Path(sys.executable).with_name("schemathesis")
    command = [program, f"--config-file={HERE / 'schemathesis.toml'}", "run", f"{url}/openapi.json", "--checks=all", f"--exclude-checks={LEFT_OUT}"]
    command += [f"--max-examples={options.examples}", f"--seed={seed}", *more, "--continue-on-failure", "--warnings=off"]
    if options.report and not more:
        command += [f"--report-har-path={options.report}/{caller}.har"]
    settings = os.environ | {
        "PYTHONPATH": str(HERE),
        "PYTHONDONTWRITEBYTECODE": "1",
        "SCHEMATHESIS_HOOKS": "hooks",
        "RELAMPAGO_URL": url,
        "RELAMPAGO_ADMIN_KEY": ADMIN_KEY,
        "RELAMPAGO_CREDENTIAL": caller,
        "RELAMPAGO_FOLLOWED": f"{folder}/{FOLLOWED}",
    }
    print(f"\n-- as {caller}", flush=True)
    return subprocess.run(command, env=settings, cwd=folder).returncode == 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary", type=pathlib.Path)
    parser.add_argument("--examples", type=int, default=20, help="at most so many of an operation (20)")
    parser.add_argument("--seed", type=int, default=random.getrandbits(32), help="repeats a run")
    parser.add_argument("--as", dest="callers", action="append", choices=CALLERS, help="only as this caller")
    parser.add_argument("--report", type=pathlib.Path, help="a folder for all requests and answers, as HAR")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, open(f"{folder}/server.log", "w+") as log:
        pathlib.Path(folder, FOLLOWED).touch()
        server, url = start(options.binary.resolve(), folder, log)
        try:
            callers = options.callers or CALLERS
            failed = [caller for caller in callers if not check(url, caller, options, folder, options.seed)]
            if not options.callers:
                failed += follow_links(url, options, folder)
        finally:
            server.terminate()
            ended = server.wait(timeout=60)
        if failed or ended:
            log.seek(0)
            sys.stderr.writelines(log.readlines()[-50:])
            sys.exit(f"failed as {', '.join(failed) or 'nobody'}; the server ended with {ended}; --seed {options.seed}")


if __name__ == "__main__":
    main()
