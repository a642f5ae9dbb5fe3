# What proves, beside the specs: docs/proof.md. Part of the Makefile.

harness = CDB_BUILD='$(B)' LUA_PATH='$(CURDIR)/lua/?.lua;$(CURDIR)/lua/?/init.lua;;' \
  LUA_CPATH='$(CURDIR)/$(B)/lua/?.so;$(CURDIR)/$(B)/spec/?.so;;'

# The specs under valgrind, without those that start other programs.
memcheck:
	@$(BOOTSTRAP) test
	@$(MAKE) all
	@CDB_BUILD='$(B)' CDB_VALGRIND=1 $(LUA) spec/run $(or $(SPEC),$(filter-out spec/docs_% spec/allocation_spec.lua spec/capi_spec.lua spec/campaign_spec.lua spec/load_spec.lua spec/model_spec.lua spec/packaging_spec.lua,$(wildcard spec/*_spec.lua spec/core/*_spec.lua)) spec/scenario/spine_spec.lua)

stress:
	@$(BOOTSTRAP) test
	@$(MAKE) all spec_modules
	@$(WITH_NODE) CC='$(CC)' CDB_BUILD='$(B)' CDB_SPEC_TIMEOUT=900 LUA_INIT="package.loadlib('$(CURDIR)/$(B)/spec/gc_stress.so', \
	  'luaopen_gc_stress')($(or $(GC),100))" $(LUA) spec/run $(if $(T),-t '$(T)') $(SPEC)

# What these do runs in programs that are made without counting, or by a user who may not write the counts.
uncounted := spec/campaign_spec.lua spec/model_spec.lua spec/packaging_spec.lua spec/regress/416-who-may-only-read.lua
all_specs = $(shell find spec -name '*_spec.lua' -o -path 'spec/regress/*.lua' | LC_ALL=C sort)

coverage:
	@$(BOOTSTRAP) test
	@$(MAKE) COVERAGE=1 all spec_modules
	@rm -rf build/coverage/lines && mkdir build/coverage/lines && find build/coverage -name '*.gcda' -delete
	@$(MAKE) COVERAGE=1 test SPEC='$(or $(SPEC),$(filter-out $(uncounted),$(all_specs)))'; tests=$$?; \
	  $(LUA) spec/coverage/report build/coverage $(if $(SPEC),part) && exit $$tests

proof:
	@spec/proof/run $(ONLY)

# N: how many points of each kind; SEED: which; SPEC: only scenarios whose name has this.
campaign:
	@$(BOOTSTRAP) test
	@$(MAKE) all spec_modules
	@$(harness) $(LUA) spec/campaign/run $(or $(N),2000) $(or $(SEED),1) $(SPEC)

# SECONDS of work; SEED: of the dice; SINGLE: shards that take a statement at a time, as D1 does.
load:
	@$(BOOTSTRAP) test
	@$(MAKE) all spec_modules
	@$(harness) $(LUA) spec/load/run $(or $(SECONDS),600) $(or $(SEED),1) $(SINGLE)

# libFuzzer comes with clang. The programs have a build folder of their own, without what links against shared libraries.
FUZZ_BUILD := $(MAKE) CC=clang B=build/fuzz CFLAGS='-O1 -g' WERROR=1 SAN_LDFLAGS= \
  SAN_FLAGS='-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer'

fuzz:
	@$(BOOTSTRAP) test
	@$(MAKE) all spec_modules
	@$(harness) $(LUA) spec/fuzz/run $(or $(SECONDS),3600) $(TARGET)

fuzz_build:
	@$(FUZZ_BUILD) fuzz_programs

fuzz_programs: $(patsubst spec/fuzz/%.c,$(B)/%,$(filter-out spec/fuzz/script.c,$(wildcard spec/fuzz/*.c)))

$(B)/obj/spec/fuzz/%.o: ALL_CFLAGS += -DFUZZ_ROOT='"$(CURDIR)"'

.PRECIOUS: build/fuzz/obj/spec/fuzz/%.o
build/fuzz/%: build/fuzz/obj/spec/fuzz/%.o build/fuzz/obj/spec/fuzz/script.o build/fuzz/obj/spec/support/verdict.o \
  build/fuzz/obj/spec/support/verdict_d1.o build/fuzz/libcollegedb.a
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -fsanitize=fuzzer -Wl,-E -o $@ $^ \
	  -Wl,--whole-archive -l:liblua5.4.a -Wl,--no-whole-archive $(PKG_LIBS) -ldl

# N: how many points of each way and scenario; SPEC: only the scenario of this name.
allocation:
	@$(BOOTSTRAP) test
	@$(MAKE) all spec_modules
	@$(harness) ASAN_OPTIONS=detect_leaks=0:verify_asan_link_order=0 \
	  LD_PRELOAD='$(CURDIR)/$(B)/spec/scarcity.so $(if $(findstring address,$(SANITIZE)),$(shell $(CC) -print-file-name=libasan.so))' \
	  $(LUA) spec/allocation/run $(or $(N),0) $(or $(SEED),1) $(if $(SPEC),'$(SPEC)')

# N cases of LENGTH operations, the first by SEED; PROPERTY_BRIEF=1 does not shrink those that fail.
property:
	@$(BOOTSTRAP) test
	@$(MAKE) all spec_modules
	@$(harness) $(LUA) spec/property/run $(or $(N),1000) $(or $(SEED),1) $(LENGTH)

model:
	@$(BOOTSTRAP) test
	@spec/model/check $(MODEL)
