# Reads which errors the tests have seen, then functions.inc: every error that the header lists for a function must
# have been returned by it in some test. (That no other one was, the tests check themselves.)
FNR == NR { seen[$1, $2] = 1; next }
/^FUNCTION/ {
    name = $1
    sub(/^FUNCTION\(/, "", name)
    sub(/,.*/, "", name)
    if (!((name, "LEON_OK") in seen)) { print name " was never called with success"; bad = 1 }
    for (i = 2; i <= NF; i++) {
        if ($i !~ /^LEON_E_/) continue
        listed++
        if (!((name, $i) in seen)) { print name " was never seen to return " $i; bad = 1 }
    }
}
END {
    print listed " errors of functions are listed, and all but those above were seen"
    exit bad || listed == 0
}
