#!/usr/bin/env python3
"""Checks of the source text itself: what a compiler does not see and a reviewer should not have to look for.

    tests/tidy.py            all checks; prints file:line: what, and fails when there is any
    tests/tidy.py --selftest proves that each check finds what it looks for

Runs as the ctest `tidy`. Needs only Python 3; the layout is checked when clang-format is installed.
"""
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LINES_MAX = 700
COLUMNS_MAX = 160

CPP = {".cpp", ".h"}
TEXT = CPP | {".py", ".sh", ".cmake", ".json", ".jsonc", ".md", ".txt", ".yml", ""}
NEVER = {"build", ".git", "data", ".cache", "__pycache__"}

# Arrows point down only: (files under, may not include). Linking catches calls; this catches headers as well.
ARROWS = [
    ("perf/", r"(net|storage|cache|server)/"),
    ("perf/", r"boost/"),
    ("net/core/", r"(net/(http|websocket)|storage|cache|server)/"),
    ("net/http/", r"(storage|cache|server|net/websocket)/"),
    ("net/websocket/", r"(storage|cache|server)/"),
    ("storage/", r"(net/(http|websocket)|cache|server)/"),
    ("cache/", r"(net/(http|websocket)|storage|server)/"),
]
# Spelled in two parts so that this file does not find itself.
UNFINISHED = re.compile(r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK"]) + r")\b")
SWITCHED_OFF = re.compile("DISABLED" + "_")
HOME_FOLDER = re.compile(r"(?<![\w.])/(home/[a-z]\w*|Users/\w+|root)/")


def tracked_files():
    """Every file of the project: what git knows or would add, or, in a plain copy, what is there."""
    try:
        out = subprocess.run(["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                             check=True, capture_output=True, text=True).stdout
        names = [n for n in out.split("\0") if n]
    except (OSError, subprocess.CalledProcessError):
        names = []
        for folder, folders, files in os.walk(ROOT):
            folders[:] = [f for f in folders if f not in NEVER]
            names += [str((Path(folder) / f).relative_to(ROOT)) for f in files]
    names = [n for n in names if NEVER.isdisjoint(Path(n).parts)]
    return sorted(n for n in set(names) if Path(n).suffix in TEXT and (ROOT / n).is_file())


def without_comments_and_texts(source):
    """The code with comments and literals blanked, so that a pattern cannot match inside them. Lines stay."""
    def blank(match):
        text = match.group(0)
        kept = "\n" * text.count("\n")
        return '""' + kept if text[0] in "\"R" else " " + kept
    return re.sub(r'R"([^(\s]*)\((?:.|\n)*?\)\1"|//[^\n]*|/\*(?:.|\n)*?\*/|"(?:\\.|[^"\\\n])*"', blank, source)


def check_text(name, source):
    lines = source.split("\n")
    for at, line in enumerate(lines, 1):
        if UNFINISHED.search(line):
            yield at, "unfinished work is marked here: do it, or say it in the docs"
        if SWITCHED_OFF.search(line):
            yield at, "a test is switched off"
        if HOME_FOLDER.search(line) or (len(ROOT.parts) > 2 and f"{ROOT}/" in line):
            yield at, "names a folder of one machine"
        if line != line.rstrip() and not name.endswith(".md"):
            yield at, "space at the end of the line"
    if source and not source.endswith("\n"):
        yield len(lines), "the last line has no end"


def check_page(name, source):
    """A heading that comes again under the same one is a piece pasted twice."""
    seen, above = set(), []
    for at, line in enumerate(re.sub(r"```[^`]*```", lambda m: "\n" * m.group(0).count("\n"), source).split("\n"), 1):
        if not re.match(r"#+ ", line):
            continue
        above = [a for a in above if a.index(" ") < line.index(" ")] + [line]
        if tuple(above) in seen:
            yield at, "this heading was there before"
        seen.add(tuple(above))


def check_cpp(name, source):
    lines = source.split("\n")
    if len(lines) - 1 > LINES_MAX:
        yield LINES_MAX, f"{len(lines) - 1} lines: more than {LINES_MAX}, split it by concept"
    for at, line in enumerate(lines, 1):
        if "\t" in line:
            yield at, "tab"
        if len(line) > COLUMNS_MAX:
            yield at, f"{len(line)} columns: more than {COLUMNS_MAX}"
        for under, forbidden in ARROWS:
            if name.startswith(under) and not name.startswith("perf/bench/") and \
                    re.match(rf'\s*#\s*include\s*[<"]{forbidden}', line):
                yield at, f"{under} may not include this: arrows point down only"
    if name.endswith(".h"):
        if "#pragma once" not in source:
            yield 1, "header without #pragma once"
        if not source.startswith("//"):
            yield 1, "a header opens with what the thing is"
    yield from check_awaits(without_comments_and_texts(source))


def check_awaits(code):
    """g++-12 destroys aggregate and capturing-closure temporaries of a co_await expression twice."""
    for match in re.finditer(r"\bco_await\b([^;]*);", code):
        at = code.count("\n", 0, match.start()) + 1
        if re.search(r"[(,]\s*\[[^\]]", match.group(1)):
            yield at, "co_await of a call with a capturing lambda made in place: name it and move it in"
        elif re.search(r"[(,]\s*\{\s*[^}\s]", match.group(1)):
            yield at, "co_await of a call with a braced aggregate made in place: name it and move it in"


def names_of_a_file(source):
    """(line, enclosing namespace, name and parameter types) of what stands in the anonymous namespaces of a .cpp file. Relies on the
    layout: what is of a namespace begins in the first column, and its end says `// namespace`."""
    code = without_comments_and_texts(source).split("\n")
    scope, inside = [], ""
    for at, line in enumerate(source.split("\n"), 1):
        opens = re.match(r"(?:inline )?namespace\s*([\w:]*)\s*\{$", line)
        if opens:
            scope.append(opens.group(1))
        elif re.match(r"\}\s*// namespace", line):
            scope = scope[:-1]
        elif "" in scope and re.match(r"\w|\[\[", code[at - 1]):
            inside = "::".join(s for s in scope if s)
            text = re.sub(r"\[\[\w+\]\]\s*|\balignas\([^)]*\)\s*", "", " ".join(code[at - 1:at + 7]))
            if re.match(r"(?:(?:using|namespace|static_assert|template|friend|extern)\b|enum [:{]|TEST|TYPED_|INSTANTIATE|MATCHER|ACTION|[^({;=]*\boperator\b)", text):
                continue
            kind = re.match(r"(?:struct|class|union|enum class|enum) (\w+)\b(?!\s*;)", text)
            head = re.match(r"[^(={;]*?([\w:~]+)\s*(?:\[[^\]]*\]\s*)?(?:\(([^;{]*?)\)\s*(?:noexcept|->[^{;]*)?\s*\{|[={;])", text)
            if kind:
                yield at, inside, kind.group(1)
            elif head:
                types = re.sub(r"\s*=[^,]*|\s+\w+(?=\s*(?:,|$))", "", head.group(2) or "")
                yield at, inside, head.group(1) + ("" if head.group(2) is None else "(" + re.sub(r"\s", "", types) + ")")


def check_batches(files):
    """Files of a folder are compiled as one, which ones together differs by preset: names in anonymous namespaces must differ."""
    seen = {}
    for name, source in files:
        for at, inside, what in names_of_a_file(source):
            before = seen.setdefault((str(Path(name).parent), inside, what), name)
            if before != name:
                yield name, at, f"{what} is in {before} as well: files of a folder are compiled as one"


def check_layout(names):
    tool = shutil.which("clang-format-14") or shutil.which("clang-format")
    if tool is None:
        print("tidy: clang-format is not installed, the layout was not checked")
        return
    out = subprocess.run([tool, "--dry-run", *names], cwd=ROOT, capture_output=True, text=True, check=False).stderr
    seen = set()
    for match in re.finditer(r"^([^\s:]+):(\d+):\d+: (?:warning|error):", out, re.M):
        if match.group(1) not in seen:
            seen.add(match.group(1))
            yield match.group(1), int(match.group(2)), "not laid out by clang-format"


def check_shell(names):
    for name in names:
        run = subprocess.run(["bash", "-n", name], cwd=ROOT, capture_output=True, text=True, check=False)
        if run.returncode != 0:
            yield name, 1, run.stderr.strip()
        if not os.access(ROOT / name, os.X_OK):
            yield name, 1, "a script that is not executable"


def selftest():
    cases = [
        (check_text, "a.md", "x " + "TO" + "DO: y\n"), (check_text, "a.cpp", "int a; \n"), (check_text, "a.cpp", "int a;"),
        (check_text, "a.cpp", "TEST(A, DISABLED" + "_B)\n"), (check_text, "a.sh", "cd /ho" + "me/someone/x\n"),
        (check_cpp, "a.h", "// x\nint a;\n"), (check_cpp, "a.h", "#pragma once\n"),
        (check_cpp, "cache/a.cpp", '#include "storage/store.h"\n'), (check_cpp, "perf/a.h", "// x\n#pragma once\n#include <boost/asio.hpp>\n"),
        (check_cpp, "a.cpp", "co_await f([x] { g(); });\n"), (check_cpp, "a.cpp", "co_await f({.a = 1});\n"),
        (check_cpp, "a.cpp", "\n" * (LINES_MAX + 1)), (check_cpp, "a.cpp", "\tint a;\n"),
        (check_page, "a.md", "## A\n## B\n## A\n"), (check_page, "a.md", "## A\n### x\n### x\n"),
    ]
    clean = [
        (check_cpp, "cache/a.cpp", '#include "net/core/task.h"\n// co_await f([x] {});\n'),
        (check_cpp, "a.cpp", 'auto s = R"(co_await f({1});)";\nco_await f(a[1], std::move(b));\n'),
        (check_text, "a.cpp", "int hackney = 0;\n"),
        (check_page, "a.md", "## A\n### Figures\n## B\n### Figures\n```\n## A\n```\n"),
    ]
    one = "namespace a {\nnamespace {\n%s\n}  // namespace\n}  // namespace a\n"
    for first, second, found in [("int f(int a) {", "int f(int b) {", 1), ("struct s {", "class s {", 1), ("constexpr int n = 1;", "std::string n;", 1),
                                 ("int f(int a) {", "int f(char b) {", 0), ("struct s {", "  struct s {", 0), ("using s = int;", "using s = int;", 0)]:
        if len(list(check_batches([("t/a.cpp", one % first), ("t/b.cpp", one % second), ("u/b.cpp", one % second)]))) != found:
            print(f"tidy: selftest failed on {first!r} beside {second!r}")
            return 1
    missed = [c[1:] for c in cases if not list(c[0](c[1], c[2]))] + [c[1:] for c in clean if list(c[0](c[1], c[2]))]
    for name, source in missed:
        print(f"tidy: selftest failed on {name}: {source!r}")
    return 1 if missed else 0


def main():
    if sys.argv[1:] == ["--selftest"]:
        return selftest()
    found = []
    names = tracked_files()
    for name in names:
        source = (ROOT / name).read_text(encoding="utf-8", errors="replace")
        found += [(name, at, what) for at, what in check_text(name, source)]
        if Path(name).suffix in CPP:
            found += [(name, at, what) for at, what in check_cpp(name, source)]
        if name.endswith(".md"):
            found += [(name, at, what) for at, what in check_page(name, source)]
    found += check_batches([(n, (ROOT / n).read_text(encoding="utf-8")) for n in names
                            if n.endswith(".cpp") and not n.startswith(("tests/fuzz/", "tests/tools/", "perf/bench/"))])
    found += check_layout([n for n in names if Path(n).suffix in CPP])
    found += check_shell([n for n in names if n.endswith(".sh") or n == ".ci/run"])
    for name, at, what in sorted(found):
        print(f"{name}:{at}: {what}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(selftest() or main())
