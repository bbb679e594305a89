# Reads leon.h and prints each function on a line of its own with the version that it exists since: "0.1 leon_version".

/@since/ { since = $NF }

/^[a-z].*leon_[a-z0-9_]+\(/ && !/^typedef/ {
    if (since == "") {
        print "no @since before: " $0 | "cat >&2"
        exit 1
    }
    match($0, /leon_[a-z0-9_]+\(/)
    print since, substr($0, RSTART, RLENGTH - 1)
    since = ""
}
