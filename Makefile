# CollegeDB: the interpreter, the library and the Lua module for stock lua5.4.
#
#   make                 build/collegedb, build/libcollegedb.{a,so}, build/lua/collegedb/core.so
#   make demo            installs what is missing, builds, runs the main job on files it leaves to look at
#   make test            installs what the tests need, builds, runs every spec
#                        (SPEC='spec/x_spec.lua …' runs those only, T='words' the tests whose name has them)
#   make SANITIZE=address,undefined test      (SANITIZE=thread for what spec/background_spec.lua does)
#   make memcheck        the specs under valgrind
#   make stress          the specs, with all garbage collected at each GC-th (100) value that Lua makes
#   make coverage        the specs, and which lines of C and Lua they never run: build/coverage/summary, …/missed
#   make proof           all of these in turn, and what follows here; hours. ONLY='stress fuzz' runs some
#   make model           checks the models of moving and growing with spin (MODEL=quick, MODEL=long)
#   make campaign        kills, faults and power cuts at every file call: docs/proof.md (N=2000 points of each kind)
#   make load            32 shards and eight programs, killed and stopped meanwhile: docs/proof.md (SECONDS=600 SEED=1 SINGLE=s02,s03)
#   make fuzz            libFuzzer on what reads foreign bytes: docs/proof.md (SECONDS=3600 each, TARGET=scanner)
#   make allocation      memory that runs out at every allocation: docs/proof.md (N=20 points of each kind, 0 is all)
#   make property        a seeded test of the router beside plain tables: docs/proof.md (N=1000 cases from SEED=1)
#   make scale           what a hundred shards and twenty million keys cost: docs/scale.md
#   make lint format types env bench docs clean
#   make install uninstall deb                packaging/install.mk
#
# PREFIX, DESTDIR, CC and CFLAGS are honoured. Every set of flags that must not be mixed has a build folder
# of its own, B.

ifeq ($(origin CC),default)
CC := gcc
endif
PREFIX ?= /usr/local
CFLAGS ?= -O3 -g
LUA ?= lua5.4
BOOTSTRAP ?= scripts/bootstrap
MAKEFLAGS += --no-print-directory

comma := ,
ifdef SANITIZE
B := build/san-$(subst $(comma),-,$(SANITIZE))
SAN_FLAGS := -fsanitize=$(SANITIZE) -fno-sanitize-recover=all -fno-omit-frame-pointer
ifneq (,$(findstring clang,$(CC)))
SAN_FLAGS += -shared-libsan
SAN_LDFLAGS := -Wl,-rpath,$(dir $(shell $(CC) -print-file-name=libclang_rt.asan-x86_64.so))
endif
else ifdef COVERAGE
# gcov counts the lines of C, spec/coverage/lines.c those of Lua: it stands between some calls and Lua.
B := build/coverage
CFLAGS := -O0 -g
# Only what may throw is counted right where a call does not come back: lua_error is a longjmp.
SAN_FLAGS := --coverage -fprofile-update=prefer-atomic -fexceptions
lines_obj := $(B)/obj/spec/coverage/lines.o
else
B := build
endif

PACKAGES := sqlite3 libxxhash nettle
LUA_CFLAGS ?= $(shell pkg-config --cflags lua5.4 2>/dev/null)
LUA_LIBS ?= -llua5.4
# libcurl and jansson are loaded when they are needed: only their headers count here.
PKG_CFLAGS := $(shell pkg-config --cflags $(PACKAGES) libcurl jansson 2>/dev/null) $(LUA_CFLAGS)
PKG_LIBS := $(shell pkg-config --libs sqlite3 nettle 2>/dev/null) -lm
# The one place that has the version.
VERSION := $(shell sed -n 's/^\#define CDB_VERSION "\(.*\)"/\1/p' include/collegedb.h)
SONAME := libcollegedb.so.$(firstword $(subst ., ,$(VERSION)))

WARNINGS := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes
ALL_CFLAGS := -std=c11 $(CFLAGS) -D_GNU_SOURCE -Iinclude -Isrc $(PKG_CFLAGS) $(WARNINGS) $(if $(WERROR),-Werror) \
  -fPIC -fno-plt -pthread -fvisibility=hidden -ffp-contract=off $(SAN_FLAGS)
ALL_LDFLAGS := $(LDFLAGS) -pthread $(SAN_FLAGS) $(SAN_LDFLAGS)
# A library of ours leaves no symbol open; a sanitizer's are found at run time.
NO_UNDEFINED := $(if $(SANITIZE),,-Wl,-z,defs)
ifdef COVERAGE
$(lines_obj): private ALL_CFLAGS += -DCDB_LINES='"$(abspath $(B))/lines"'
$(B)/obj/src/bind/module.o: private ALL_CFLAGS += -Dluaopen_collegedb_core=__lines_core
$(B)/obj/src/bin/main.o $(B)/obj/src/capi.o: private ALL_CFLAGS += -DluaL_openlibs=__lines_openlibs
$(B)/obj/src/bind/limit.o $(B)/obj/src/bin/run.o: private ALL_CFLAGS += -Dlua_sethook=__lines_sethook
endif

# A node that is new enough, where scripts/bootstrap had to bring one.
WITH_NODE := PATH='$(CURDIR)/spec/engine/node_modules/.bin':"$$PATH"

# make V=1 shows the commands.
say = @printf '%-5s %s\n' '$(1)' '$(2)'
Q := $(if $(V),,@)

core_src := $(wildcard src/core/*.c src/shard/*.c src/directory/*.c src/net/*.c src/bind/*.c)
lib_src := $(wildcard src/*.c)
bin_src := $(wildcard src/bin/*.c)
core_obj := $(core_src:%.c=$(B)/obj/%.o) $(lines_obj)
lib_obj := $(core_obj) $(lib_src:%.c=$(B)/obj/%.o) $(B)/obj/gen/embedded.o
bin_obj := $(bin_src:%.c=$(B)/obj/%.o)

lua_files := $(sort $(shell find lua/collegedb -name '*.lua'))
commands := $(sort $(wildcard scripts/*.lua))

all: $(B)/collegedb $(B)/libcollegedb.a $(B)/libcollegedb.so $(B)/lua/collegedb/core.so $(B)/collegedb.1

# Lua's symbols come from the program that loads the module.
$(B)/lua/collegedb/core.so: $(core_obj)
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -shared -o $@ $(core_obj) $(PKG_LIBS)

$(B)/libcollegedb.a: $(lib_obj)
	$(call say,AR,$@)
	@rm -f $@
	$(Q)ar rcs $@ $(lib_obj)

# A program that was linked to libcollegedb.so asks for libcollegedb.so.0 when it starts, and any 0.x answers.
$(B)/libcollegedb.so.$(VERSION): $(lib_obj)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -shared -Wl,-soname,$(SONAME) $(NO_UNDEFINED) -o $@ $(lib_obj) $(PKG_LIBS) $(LUA_LIBS)

$(B)/libcollegedb.so: $(B)/libcollegedb.so.$(VERSION)
	@ln -sf libcollegedb.so.$(VERSION) $(B)/$(SONAME)
	@ln -sf libcollegedb.so.$(VERSION) $@

# The whole of Lua is linked in and its names exported, so that modules in C find every function they use.
$(B)/collegedb: $(bin_obj) $(B)/libcollegedb.a
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -Wl,-E -o $@ $(bin_obj) $(B)/libcollegedb.a \
	  -Wl,--whole-archive -l:liblua5.4.a -Wl,--no-whole-archive $(PKG_LIBS) -ldl

# The manual page, from the same tables as --help.
$(B)/collegedb.1: $(B)/collegedb
	$(call say,MAN,$@)
	$(Q)$< help --man >$@.new && mv $@.new $@

$(B)/obj/%.o: %.c $(B)/flags
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(B)/obj/gen/embedded.o: $(B)/gen/embedded.c $(B)/flags
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(B)/gen/embedded.c: scripts/build/embed.lua $(lua_files) $(commands) $(B)/gen/files
	$(call say,EMBED,$@)
	$(Q)$(LUA) scripts/build/embed.lua $@ $(lua_files) $(commands)

# Rewritten only when its content changes: other flags rebuild the objects, another set of files the embedding.
$(B)/flags: FORCE
	@mkdir -p $(@D)
	@echo '$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS)' | cmp -s - $@ || echo '$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS)' >$@

$(B)/gen/files: FORCE
	@mkdir -p $(@D)
	@echo '$(lua_files) $(commands)' | cmp -s - $@ || echo '$(lua_files) $(commands)' >$@

# Modules that only tests load: a VFS that fails, processes, memory that runs out, a web server that goes wrong, and
# what SQLite says of a statement.
spec_modules := $(patsubst %,$(B)/spec/%.so,faultvfs forks scarcity gc_stress fault_server verdict)

$(B)/spec/faultvfs.so: $(B)/obj/spec/support/faultvfs.o $(B)/obj/spec/support/unsynced.o
$(B)/spec/forks.so: $(B)/obj/spec/support/forks.o
$(B)/spec/scarcity.so: $(B)/obj/spec/support/scarcity.o
$(B)/spec/gc_stress.so: $(B)/obj/spec/support/gc_stress.o
$(B)/spec/gc_stress.so: private ALL_LDFLAGS += -Wl,-z,nodelete # the end of a state calls it too
$(B)/spec/fault_server.so: $(B)/obj/spec/support/fault_server.o $(B)/obj/spec/support/fault_upstream.o

$(B)/spec/verdict.so: $(addprefix $(B)/obj/,spec/support/verdict_module.o spec/support/verdict.o spec/support/verdict_d1.o \
  src/core/scanner.o src/core/text.o src/core/error.o src/shard/d1_sql.o src/shard/d1_rewrite.o)

$(spec_modules):
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -shared -o $@ $^ $(PKG_LIBS)

spec_modules: $(spec_modules)

-include $(lib_obj:.o=.d) $(bin_obj:.o=.d) $(wildcard $(B)/obj/spec/support/*.d $(B)/obj/spec/fuzz/*.d)

# --- running -------------------------------------------------------------------------------------------

demo:
	@$(BOOTSTRAP) build
	@$(MAKE) all
	@$(B)/collegedb examples/demo/demo.lua

test:
	@$(BOOTSTRAP) test
	@$(MAKE) all spec_modules
	@$(WITH_NODE) CC='$(CC)' CDB_BUILD='$(B)' CDB_SANITIZE='$(SANITIZE)' CDB_COVERAGE='$(COVERAGE)' \
	  $(LUA) spec/run $(if $(T),-t '$(T)') $(SPEC)

-include spec/proof.mk # a rock has no specs

bench: all
	@$(WITH_NODE) CDB_BUILD='$(B)' bench/run

# What a hundred shards and twenty million keys cost: docs/scale.md.
scale: all
	@CDB_BUILD='$(B)' bench/run scale

env:
	@echo "export LUA_PATH='$(CURDIR)/lua/?.lua;$(CURDIR)/lua/?/init.lua;;' LUA_CPATH='$(CURDIR)/$(B)/lua/?.so;;'"

# --- checks --------------------------------------------------------------------------------------------

js_files := $(wildcard worker/src/*.js examples/*.js bench/*/*.js spec/engine/*.js spec/engine/*/*.js spec/engine/*.mjs \
  spec/engine/*/*.mjs spec/support/*.mjs)
c_files := $(wildcard include/*.h src/*.[ch] src/*/*.[ch] bench/*.[ch] examples/*/*.[ch] spec/support/*.[ch] spec/fuzz/*.[ch] spec/coverage/*.c)

lint:
	@$(BOOTSTRAP) test
	luacheck --quiet spec/run spec/coverage/report $(filter-out spec/proof/run,$(wildcard spec/*/run)) $(wildcard lua scripts spec examples bench types)
	@for file in $(js_files); do node --input-type=module --check <$$file || exit 1; done
	@awk 'length($$0) > 120 { print FILENAME ":" FNR ": line is too long"; bad = 1 } END { exit bad }' $(js_files)
	@$(MAKE) CC=gcc WERROR=1 B=build/lint/gcc all spec_modules
	@$(MAKE) CC=clang WERROR=1 B=build/lint/clang all spec_modules
	@clang-format --dry-run --Werror $(c_files)

format:
	clang-format -i $(c_files)

# What of types/ is written by a program.
types:
	$(LUA) scripts/build/types.lua types/collegedb/database.lua >types/collegedb/default.lua

# docs/reference.md, from types/ and include/.
reference: types
	$(LUA) scripts/build/reference.lua >docs/reference.md

# --- installing ----------------------------------------------------------------------------------------

include packaging/install.mk

# ldoc does not know LuaCATS' classes and overloads: it reads a copy without them.
docs: reference
	@$(BOOTSTRAP) docs
	@rm -rf build/docs && mkdir -p build/docs && cp -r lua/collegedb build/docs/source
	@find build/docs/source -name '*.lua' -exec \
	  sed -i -E '/^ *---@(class|field|generic|overload|type|alias|cast|diagnostic)/d' {} +
	@ldoc -q -d build/docs/html -p CollegeDB -t 'CollegeDB reference' build/docs/source >build/docs/log 2>&1 \
	  || { cat build/docs/log >&2; exit 1; }
	@echo build/docs/html/index.html

clean:
	rm -rf build

.PHONY: all demo test memcheck model campaign load property spec_modules bench scale env lint format types reference docs clean fuzz fuzz_build fuzz_programs allocation stress coverage proof FORCE
FORCE:
