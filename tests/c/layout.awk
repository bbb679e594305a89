# Reads leon.h; writes a program in C that writes, as assertions in Rust, how C lays out each struct: its size, and
# where each field is.
BEGIN { print "#include <leon.h>\n#include <stdio.h>\nint main(void) {\n    puts(\"use leon::ffi::*;\");" }
# What follows has fields; a handle has none.
/^typedef struct leon_[a-z_]+ \{/ {
    name = $3
    print "    printf(\"const _: () = assert!(size_of::<" name ">() == %zu);\\n\", sizeof(" name "));"
}
# A field is the last word of a line, or a pointer to a function.
name != "" && /^    [a-z].*;$/ {
    match($0, /\(\*[a-z_]+\)|[a-z_0-9]+(\[[A-Z_0-9]+\])?;$/)
    field = substr($0, RSTART, RLENGTH)
    gsub(/[(*);]|\[.*/, "", field)
    offset = "offset_of!(" name ", " field ")"
    print "    printf(\"const _: () = assert!(std::mem::" offset " == %zu);\\n\", offsetof(" name ", " field "));"
}
/^\}/ { name = "" }
END { print "    return 0;\n}" }
