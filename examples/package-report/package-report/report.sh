#!/bin/sh
# Reads the machine's package database, writes a report file, and prints a summary. Needs dpkg-query (Debian and its kin) and awk.
#
# REPORT_FOLDER: where the report goes (default: the working folder of the run).
# REPORT_TOP:    how many of the largest packages are listed (default 10).
set -eu

folder=${REPORT_FOLDER:-.}
top=${REPORT_TOP:-10}
report=$folder/package-report.txt

if ! command -v dpkg-query >/dev/null 2>&1; then
    echo "dpkg-query is not on this machine: there is no package database to read" >&2
    exit 69
fi

list=$(mktemp)
trap 'rm -f "$list"' EXIT
# Installed packages only; the size is in KiB.
dpkg-query --show --showformat='${db:Status-Abbrev}\t${Installed-Size}\t${Section}\t${Package}\t${Version}\n' |
    awk -F '\t' '$1 ~ /^ii/ { print $2 "\t" $3 "\t" $4 "\t" $5 }' | sort -t "$(printf '\t')" -k 1,1nr -k 3,3 >"$list"

mkdir -p "$folder"
{
    echo "Packages of $(uname -n) at $(date -u +%Y-%m-%dT%H:%M:%SZ)"
    echo
    echo "Largest $top (KiB, package, version):"
    head -n "$top" "$list" | awk -F '\t' '{ printf "%10d  %-40s %s\n", $1, $3, $4 }'
    echo
    echo "By section (KiB, packages, section):"
    awk -F '\t' '{ size[$2] += $1; count[$2]++ } END { for (s in size) printf "%10d  %5d  %s\n", size[s], count[s], s }' "$list" | sort -k 1,1nr
} >"$report.new"
mv "$report.new" "$report"

awk -F '\t' '{ size += $1 } END { printf "%d packages, %d MiB installed\n", NR, size / 1024 }' "$list"
awk -F '\t' 'NR == 1 { printf "largest: %s with %d MiB\n", $3, $1 / 1024 }' "$list"
echo "report: $report, $(wc -l <"$report") lines"
