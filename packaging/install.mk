# make install and uninstall: what goes where. make deb: the Debian packages. make rock, install-rock: for luarocks.
#
#   PREFIX    /usr/local   below it is everything
#   DESTDIR                is put before PREFIX, for packages that are made elsewhere
#   LIBDIR    PREFIX/lib   libraries; Debian's are in /usr/lib/x86_64-linux-gnu

LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
DATADIR ?= $(PREFIX)/share
MANDIR ?= $(DATADIR)/man
DOCDIR ?= $(DATADIR)/doc/collegedb
BASHDIR ?= $(DATADIR)/bash-completion/completions
ZSHDIR ?= $(DATADIR)/zsh/site-functions
# Where the module for stock Lua is.
LUADIR ?= $(DATADIR)/lua/5.4
LUACDIR ?= $(LIBDIR)/lua/5.4

bin := $(DESTDIR)$(PREFIX)/bin
lib := $(DESTDIR)$(LIBDIR)
headers := $(DESTDIR)$(INCLUDEDIR)
data := $(DESTDIR)$(DATADIR)/collegedb
doc := $(DESTDIR)$(DOCDIR)
module := $(DESTDIR)$(LUADIR)/collegedb
module_c := $(DESTDIR)$(LUACDIR)/collegedb

# Copies the files below a folder, as they lie there: $(call copy_tree,FROM,TO,find's tests)
copy_tree = cd $(1) && find . -type f $(3) -exec install -D -m 644 {} $(abspath $(2))/{} \;

install: all install-program install-library install-module install-data

install-program:
	install -d $(bin)
	install -m 755 $(B)/collegedb $(bin)/collegedb
	install -D -m 644 $(B)/collegedb.1 $(DESTDIR)$(MANDIR)/man1/collegedb.1
	$(B)/collegedb completion bash >$(B)/completion.bash
	$(B)/collegedb completion zsh >$(B)/completion.zsh
	install -D -m 644 $(B)/completion.bash $(DESTDIR)$(BASHDIR)/collegedb
	install -D -m 644 $(B)/completion.zsh $(DESTDIR)$(ZSHDIR)/_collegedb

install-library: $(B)/libcollegedb.a $(B)/libcollegedb.so
	install -d $(lib)/pkgconfig $(headers)
	install -m 644 $(B)/libcollegedb.a $(B)/libcollegedb.so.$(VERSION) $(lib)/
	ln -sf libcollegedb.so.$(VERSION) $(lib)/$(SONAME)
	ln -sf $(SONAME) $(lib)/libcollegedb.so
	install -m 644 include/collegedb.h include/collegedb_lua.h $(headers)/
	for name in collegedb collegedb-static; do \
	  sed -e 's|@prefix@|$(PREFIX)|' -e 's|@libdir@|$(LIBDIR)|' -e 's|@includedir@|$(INCLUDEDIR)|' \
	    -e 's|@version@|$(VERSION)|' packaging/$$name.pc.in >$(B)/$$name.pc \
	    && install -m 644 $(B)/$$name.pc $(lib)/pkgconfig/ || exit 1; done

install-module: $(B)/lua/collegedb/core.so
	install -d $(module)/commands $(module_c)
	install -m 644 $(B)/lua/collegedb/core.so $(module_c)/core.so
	$(call copy_tree,lua/collegedb,$(module),-name '*.lua')
	install -m 644 $(commands) $(module)/commands/

# The links of the documentation lead where they do in the source.
install-data:
	install -d $(data) $(doc)
	$(call copy_tree,types,$(data)/types,-name '*.lua')
	$(call copy_tree,worker,$(data)/worker,! -path '*/node_modules/*' ! -path '*/.wrangler/*' ! -name .dev.vars)
	$(call copy_tree,examples,$(doc)/examples,! -path '*/data/*' ! -name '*.db*')
	find $(doc)/examples -type f -exec grep -lI '^#!' {} + | xargs -r chmod 755
	$(call copy_tree,docs,$(doc)/docs,! -name next.md)
	install -m 644 README.md CHANGELOG.md CONTRIBUTING.md SECURITY.md LICENSE $(doc)/
	ln -sfn $(shell realpath -m --relative-to=$(DOCDIR) $(DATADIR)/collegedb/worker) $(doc)/worker
	ln -sfn $(shell realpath -m --relative-to=$(DOCDIR) $(DATADIR)/collegedb/types) $(doc)/types

uninstall:
	rm -f $(bin)/collegedb $(DESTDIR)$(MANDIR)/man1/collegedb.1 $(DESTDIR)$(BASHDIR)/collegedb \
	  $(DESTDIR)$(ZSHDIR)/_collegedb $(lib)/libcollegedb.a $(lib)/libcollegedb.so $(lib)/libcollegedb.so.* \
	  $(headers)/collegedb.h $(headers)/collegedb_lua.h $(lib)/pkgconfig/collegedb.pc \
	  $(lib)/pkgconfig/collegedb-static.pc
	rm -rf $(data) $(module) $(module_c)
	case $(doc) in */collegedb) rm -rf $(doc) ;; *) echo "left alone: $(doc), which is not named collegedb" ;; esac

# Into build/deb: the program, the module and the shared library; and what a program in C is built with.
deb:
	@$(BOOTSTRAP) deb
	@$(MAKE) all
	@B='$(B)' VERSION='$(VERSION)' SONAME='$(SONAME)' packaging/deb

# luarocks calls these, with its own Lua (LUA, LUA_CFLAGS) and folders (LUADIR, LUACDIR).
rock: $(B)/lua/collegedb/core.so

install-rock: install-module

.PHONY: install install-program install-library install-module install-data uninstall deb rock install-rock
