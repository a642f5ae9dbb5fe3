# What every shell block of the documentation begins with: spec/support/page_runner.lua. It goes on in the folder and with
# the variables that the block before it has left, and stops at the first command that fails. Status 3 is no failure: the
# commands' "done, with findings".
[ -e .session ] && . ./.session
export CDB_PAGE="${CDB_PAGE:-$PWD}"
unset MAKEFLAGS MAKELEVEL MFLAGS
set -E -o pipefail
trap 'code=$?; [ $code -eq 3 ] || { echo "status $code: $BASH_COMMAND" >&2; exit $code; }' ERR

# git clone ADDRESS FOLDER: this source tree as it is, with its build, all of one time, so that nothing is to be made.
git() {
  mkdir -p "$3/build"
  tar -C "$CDB_ROOT" --exclude=./.git --exclude=./build --exclude='*/node_modules' --exclude='*.db*' -c . | tar -C "$3" -x
  (cd "$CDB_BUILD" && cp -r collegedb lua obj gen flags lib* "$CDB_PAGE/$3/build")
  find "$3" -exec touch -d "@$(date +%s)" {} +
}

# npx wrangler dev: the specs' engine, which is the one that wrangler has in itself.
npx() {
  . ./.dev.vars
  sleep 500 | node "$CDB_ROOT/spec/engine/gateway.mjs" '{ "port": '"$CDB_PORT"', "databases": ["DB_EAST", "DB_WEST"],
    "persist": "'"$PWD"'/.wrangler", "vars": { "COLLEGEDB_TOKEN": "'"$COLLEGEDB_TOKEN"'",
    "COLLEGEDB_DATABASES": "DB_EAST,DB_WEST" } }' | sed -u 's/^http/Ready on http/'
}
