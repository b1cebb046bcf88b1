#!/usr/bin/env bash
# Checks every rule that a script can check, in seconds and without a build. Usage: tools/check.sh
set -euo pipefail
cd "$(dirname "$0")/.."
failures=0
fail() { echo "$1"; echo "    $2"; failures=$((failures + 1)); }

tools/check_layers || failures=$((failures + 1))

# A file holds one idea.
while read -r lines file; do
  [ "$file" = total ] || [ "$lines" -le 600 ] ||
    fail "$file has $lines lines" "one file, one idea, 600 lines at most: split it along its ideas."
done < <(find base fbs store raylet client tools tests \( -name '*.h' -o -name '*.cc' \) -print0 | xargs -0 wc -l)

# A class is one idea, however many files it takes: its header, and each source whose definitions are mostly its own. Those
# of 400 lines and more are worth a look.
class_lines_max=600
while read -r lines class files; do
  fail "class $class has $lines lines, in $files" \
    "one class, one idea, $class_lines_max lines at most over all of its files: give a part of it a name, fields and a file of its own."
done < <(find base fbs store raylet client tools \( -name '*.h' -o -name '*.cc' \) -print0 | sort -z |
  xargs -0 awk -v max="$class_lines_max" '
  FNR == 1 { file = FILENAME; folder = file; sub(/\/[^\/]*$/, "", folder) }
  { lines[file] = FNR }
  file ~ /\.h$/ && match($0, /^(class|struct) [A-Za-z0-9_]+/) && !/;$/ {
    name = substr($0, RSTART, RLENGTH); sub(/^[a-z]+ /, "", name); headers[folder "/" name] = headers[folder "/" name] " " file
  }
  file ~ /\.cc$/ && /^[A-Za-z].*\(/ && !/;$/ {
    line = $0; sub(/\(.*/, "", line)
    if (match(line, /[A-Za-z0-9_]+(::[A-Za-z0-9_]+)*::~?[A-Za-z0-9_]+$/)) {
      name = substr(line, RSTART, RLENGTH); sub(/::.*/, "", name); defines[file "\t" name]++; total[file]++
    } else total[file]++
  }
  END {
    for (key in defines) {
      split(key, part, "\t"); if (defines[key] * 2 <= total[part[1]]) continue
      folder = part[1]; sub(/\/[^\/]*$/, "", folder); class = folder "/" part[2]
      sum[class] += lines[part[1]]; files[class] = files[class] " " part[1]
    }
    for (class in sum) {
      n = split(headers[class], own, " ")
      for (i = 1; i <= n; ++i) { sum[class] += lines[own[i]]; files[class] = files[class] " " own[i] }
      name = class; sub(/.*\//, "", name)
      if (sum[class] > max) print sum[class], name, files[class]
    }
  }')

# A header is included once, and says at its top what it is.
while read -r finding file; do
  case "$finding" in
    pragma) fail "$file has no #pragma once" "put it below the opening comment." ;;
    comment)
      fail "$file does not open with a comment" "say what this is, who owns it, which thread calls it, what always holds." ;;
  esac
done < <(find base fbs store raylet client tools tests -name '*.h' -print0 | xargs -0 -r awk '
  function finish() { if (file != "" && !once) print "pragma", file }
  FNR == 1 { finish(); file = FILENAME; once = 0; if (!/^\/\//) print "comment", file }
  /^#pragma once/ { once = 1 }
  END { finish() }')

# A desk knows the services, and never the inside of another desk. The task desk is made of these parts.
while IFS=: read -r file line include; do
  desk=${file##*/}
  desk=${desk%.*}
  other=$(sed -E 's/.*"raylet\/node\/([a-z_]+)\.h".*/\1/' <<<"$include")
  case "$desk $other" in
    "$desk $desk" | "task_desk cancel_desk" | "task_desk forward_desk" | "task_desk group_desk" | "task_desk lease_desk" | "task_desk stuck_desk") ;;
    *) fail "$file:$line includes $other.h" \
      "a desk sees another one through an interface that both share, as raylet/node/creations.h: give this meeting one." ;;
  esac
done < <(grep -nE '#include "raylet/node/[a-z_]+_desk\.h"' raylet/node/*_desk.h raylet/node/*_desk.cc 2>/dev/null || true)

# Tests that do not run are no tests.
while IFS= read -r hit; do
  fail "$hit" "a test runs or goes: fix it, or delete it and say so in the commit."
done < <(grep -rnE 'DISABLED_|GTEST_SKIP' tests --include='*.cc' --include='*.h' || true)

# A test's name is a statement about a thing.
while IFS= read -r hit; do
  fail "$hit" "begin its name with what it is about: AHomeNeedsNoLease, not WhoIsItsOwnHomeNeedsNoLease."
done < <(grep -rnE '^TEST(_F|_P)?\([A-Za-z]+, (Who|What|Whose|Whoever|Whatever)[A-Z]' tests --include='*.cc' || true)

# Text of the docs wraps at 100 columns. A row of a table cannot, and code need not, fenced or indented.
while IFS= read -r hit; do
  fail "${hit%%: *} has more than 100 columns" "wrap it, with its paragraph."
done < <(find README.md docs -name '*.md' -print0 2>/dev/null | sort -z | xargs -0 awk '
  FNR == 1 { code = 0 }
  /^ *```/ { code = !code; next }
  !code && !/^ *\|/ && !/^    / { print FILENAME ":" FNR ": " $0 }' | LC_ALL=C.UTF-8 grep -E '^[^:]+:[0-9]+: .{101,}$' || true)

# Every message of a schema is explained.
while read -r message schema; do
  fail "$message of $schema is not in docs/protocol.md" "add a line: who sends it, its body, the reply, the errors."
done < <(awk '
  FILENAME == "docs/protocol.md" { if (match($0, /^\| `[A-Za-z]+` \|/)) explained[substr($0, 4, RLENGTH - 6)]; next }
  /^enum [A-Za-z]+Message:/ { inside = 1 }
  inside && /^ +[A-Za-z]+ = [1-9]/ && !($1 in explained) { print $1, FILENAME }
  /^}/ { inside = 0 }' docs/protocol.md fbs/*.fbs)

# Locks that clang can check. Public headers include nothing of ours, and use the standard ones.
while IFS= read -r hit; do
  fail "$hit" "clang does not see this lock: use base/mutex.h, and say on the fields what it guards."
done < <(grep -rnE 'std::(mutex|shared_mutex|condition_variable|lock_guard|unique_lock|scoped_lock)\b' base fbs client \
  --include='*.h' --include='*.cc' | grep -vE '^(base/mutex\.h:|client/include/|client/ray/api/invoke\.cc:)' || true)

# A program does the formatting. Another version of it would format differently.
if command -v clang-format-14 >/dev/null; then
  # Each batch of files writes its findings in one short write, so that two batches never mix. It takes as long to
  # start clang-format as to format several files.
  while IFS= read -r file; do
    fail "$file is not formatted" "run: clang-format-14 -i $file"
  done < <(find base fbs store raylet client tools tests \( -name '*.h' -o -name '*.cc' \) -print0 |
    xargs -0 -P "$(nproc)" -n 64 bash -c '
      found=$(clang-format-14 --dry-run "$@" 2>&1 | sed -nE "s/^([^: ]+):[0-9]+:[0-9]+: warning: .*/\1/p" | sort -u)
      [ -z "$found" ] || printf "%s\n" "$found"' _ | sort)
elif [ -n "${CI:-}" ]; then
  fail "clang-format-14 is missing" "tools/install_packages test installs it."
else
  echo "check.sh: formatting is not checked, for there is no clang-format-14: tools/install_packages test installs it"
fi

# An unfinished merge.
while IFS= read -r hit; do
  fail "$hit" "two versions of these lines met: keep what is right of both, and delete the marks."
done < <(grep -rnIsE '^(<<<<<<<|>>>>>>>) ' base fbs store raylet client tools tests docs ./*.md ./*.txt || true)

# Scripts parse.
while IFS= read -r script; do
  bash -n "$script" || fail "$script does not parse" "see above."
done < <(grep -rlE '^#!/usr/bin/env bash' tools .ci tests/tools)

[ "$failures" = 0 ] || { echo "check.sh: $failures finding(s)"; exit 1; }
echo "check.sh: all rules hold"
