# Reads what functions.awk prints, sorted by version, and makes the version script of the shared library: a node for
# each version with the functions that came with it. Nothing else is exported.

$1 != node {
    if (node != "") {
        print "}" parent ";"
        parent = " LEON_" node
    }
    node = $1
    print "LEON_" node " {\n  global:"
    if (parent == "") {
        others = "  local: *;\n"
    }
}

{ print "    " $2 ";" }

END {
    if (node == "") {
        print "the header declares no function" | "cat >&2"
        exit 1
    }
    print others "}" parent ";"
}
