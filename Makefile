# The C library: builds libleon.so and libleon.a, installs and uninstalls them. Linux, GNU make; needs cargo, a C
# compiler and binutils.
#
#   make                        builds
#   make install                installs into PREFIX, under DESTDIR if that is set
#   make install-strip          the same without debug information
#   make check-install          builds programs with what is installed, in several ways, and runs them
#   make uninstall
#
# Rust makes one archive. The linker joins what the functions of leon.h need of it to one object in which only these
# functions are global, so that the archive does not clash with others that Rust has made; and from the same object
# the C compiler makes the shared library, with a version for each symbol, which rustc has no means for.

PREFIX = /usr/local
LIBDIR = $(PREFIX)/lib
INCLUDEDIR = $(PREFIX)/include
DOCDIR = $(PREFIX)/share/doc/leon
DESTDIR =

CARGO = cargo
CC = cc
LD = ld
AR = ar
OBJCOPY = objcopy
STRIP = strip
INSTALL = install
SHELL = /bin/sh

VERSION != sed -n '/^version = "/{s/.*"\(.*\)"/\1/p;q}' Cargo.toml
ABI != sed -n 's/^\#define LEON_ABI_VERSION //p' include/leon.h
TARGET_DIR != realpath -m "$${CARGO_TARGET_DIR:-target}"

OUT = $(TARGET_DIR)/c/package
RUST_ARCHIVE = $(TARGET_DIR)/c/libleon.a
NATIVE_LIBS = $(OUT)/native-libs
SHARED = $(OUT)/libleon.so.$(VERSION)
STATIC = $(OUT)/libleon.a
DOCUMENTS = README.md SECURITY.md CHANGELOG.md LICENSE-APACHE LICENSE-MIT \
    docs/embedding.md docs/config.md docs/snapshot.md docs/protocol.md

all: $(SHARED) $(STATIC)

# `leon_c_library` puts in the allocator with a reserve, which a Rust program would not want from a library.
# cargo knows best whether there is something to do. Fat LTO applies only where one kind of library is built alone.
# Root often has no cargo: `sudo make install` then takes what is built.
$(RUST_ARCHIVE): FORCE
	@mkdir -p "$(OUT)"
	@if command -v "$(CARGO)" >/dev/null; then \
	    set -x; \
	    "$(CARGO)" rustc --locked --package leon --lib --profile c --no-default-features --features ffi \
	        --target-dir "$(TARGET_DIR)" --crate-type staticlib -- --cfg leon_c_library --print "native-static-libs=$(NATIVE_LIBS)"; \
	elif test ! -f "$@"; then \
	    echo "make: there is no $(CARGO) in the PATH, and nothing is built: run make as one who has it" >&2; \
	    exit 1; \
	fi
	@test -s "$(NATIVE_LIBS)" || { echo "make: $(NATIVE_LIBS) is gone: run make clean" >&2; exit 1; }

$(OUT)/leon.map: include/leon.h packaging/functions.awk packaging/version-script.awk
	@mkdir -p "$(OUT)"
	awk -f packaging/functions.awk include/leon.h >"$(OUT)/functions"
	sort -V "$(OUT)/functions" | awk -f packaging/version-script.awk >"$@.part"
	mv "$@.part" "$@"

# Without section groups: the linker would take one that has become local for that of another Rust archive. Without
# bitcode, which LLVM's plugin for ar and nm takes for that of its own version.
$(OUT)/leon.o: $(RUST_ARCHIVE) $(OUT)/leon.map
	cut -d ' ' -f 2 "$(OUT)/functions" >"$(OUT)/globals"
	$(LD) -r --force-group-allocation -o "$@.part" $$(sed 's/^/--undefined=/' "$(OUT)/globals") "$(RUST_ARCHIVE)"
	$(OBJCOPY) --keep-global-symbols="$(OUT)/globals" --remove-section=.llvmbc --remove-section=.llvmcmd "$@.part"
	mv "$@.part" "$@"

$(STATIC): $(OUT)/leon.o
	rm -f "$@"
	$(AR) rcs "$@" "$(OUT)/leon.o"

# What a thread leaves in thread-local storage may lead back into the library when the thread ends: it stays loaded.
$(SHARED): $(OUT)/leon.o
	$(CC) $(LDFLAGS) -shared -o "$@" "$(OUT)/leon.o" -Wl,-soname,libleon.so.$(ABI) \
	    -Wl,--version-script="$(OUT)/leon.map" -Wl,--gc-sections -Wl,-z,defs -Wl,-z,nodelete -Wl,-z,noexecstack \
	    -Wl,-z,relro -Wl,-z,now -Wl,--as-needed $$(cat "$(NATIVE_LIBS)")

install: all
	$(INSTALL) -d "$(DESTDIR)$(INCLUDEDIR)" "$(DESTDIR)$(LIBDIR)/pkgconfig" "$(DESTDIR)$(LIBDIR)/cmake/leon" \
	    "$(DESTDIR)$(DOCDIR)"
	$(INSTALL) -m 644 include/leon.h include/leon_posix.h "$(DESTDIR)$(INCLUDEDIR)"
	$(INSTALL) -m 644 "$(STATIC)" "$(DESTDIR)$(LIBDIR)"
	$(INSTALL) -m 755 "$(SHARED)" "$(DESTDIR)$(LIBDIR)"
	ln -sf libleon.so.$(VERSION) "$(DESTDIR)$(LIBDIR)/libleon.so.$(ABI)"
	ln -sf libleon.so.$(ABI) "$(DESTDIR)$(LIBDIR)/libleon.so"
	for file in pkgconfig/leon.pc cmake/leon/leon-config.cmake cmake/leon/leon-config-version.cmake; do \
	    sed -e 's|@PREFIX@|$(PREFIX)|g' -e 's|@LIBDIR@|$(LIBDIR)|g' -e 's|@INCLUDEDIR@|$(INCLUDEDIR)|g' \
	        -e 's|@VERSION@|$(VERSION)|g' -e 's|@ABI@|$(ABI)|g' \
	        -e "s|@NATIVE_LIBS@|$$(cat "$(NATIVE_LIBS)")|g" \
	        -e "s|@NATIVE_LIBS_LIST@|$$(tr ' ' ';' <"$(NATIVE_LIBS)")|g" \
	        -e "s|@INCLUDEDIR_FROM_LIBDIR@|$$(realpath -m --relative-to="$(LIBDIR)" "$(INCLUDEDIR)")|g" \
	        "packaging/$${file##*/}.in" >"$(DESTDIR)$(LIBDIR)/$$file" || exit 1; \
	done
	$(INSTALL) -m 644 $(DOCUMENTS) "$(DESTDIR)$(DOCDIR)"
	@echo "installed; where $(LIBDIR) is new to the dynamic linker, run ldconfig"

install-strip: install
	$(STRIP) --strip-unneeded "$(DESTDIR)$(LIBDIR)/libleon.so.$(VERSION)"
	$(STRIP) --strip-debug "$(DESTDIR)$(LIBDIR)/libleon.a"

uninstall:
	rm -f "$(DESTDIR)$(INCLUDEDIR)/leon.h" "$(DESTDIR)$(INCLUDEDIR)/leon_posix.h" "$(DESTDIR)$(LIBDIR)/libleon.a" \
	    "$(DESTDIR)$(LIBDIR)/libleon.so" "$(DESTDIR)$(LIBDIR)/libleon.so.$(ABI)" \
	    "$(DESTDIR)$(LIBDIR)/libleon.so.$(VERSION)" "$(DESTDIR)$(LIBDIR)/pkgconfig/leon.pc"
	rm -rf "$(DESTDIR)$(LIBDIR)/cmake/leon" "$(DESTDIR)$(DOCDIR)"

check-install:
	CC="$(CC)" tests/consumers/run "$(DESTDIR)$(LIBDIR)"

clean:
	rm -rf "$(TARGET_DIR)/c"

FORCE:

.PHONY: all install install-strip uninstall check-install clean FORCE
