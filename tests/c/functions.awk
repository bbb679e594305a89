# Reads leon.h; writes each function with the errors that its documentation lists, and each error that there is:
#   FUNCTION(leon_engine_timer, " LEON_E_NULL LEON_E_HANDLE ... ")
#   ERROR(LEON_E_NULL)
/^#define LEON_E_/ { print "ERROR(" $2 ")" }
/^\/\*\*/ { errors = ""; in_errors = 0 }
/^ \* @/ { in_errors = ($2 == "@errors") }
in_errors && /^ \*/ {
    line = $0
    while (match(line, /LEON_E_[A-Z_]+/)) {
        errors = errors " " substr(line, RSTART, RLENGTH)
        line = substr(line, RSTART + RLENGTH)
    }
}
# A prototype: nothing else begins a line with a type and has a parenthesis.
/^(leon_status|leon_time|uint32_t|const char \*) ?leon_[a-z0-9_]+\(/ {
    match($0, /leon_[a-z0-9_]+\(/)
    name = substr($0, RSTART, RLENGTH - 1)
    print "FUNCTION(" name ", \"" errors " \")"
    errors = ""
}
