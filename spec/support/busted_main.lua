-- What /usr/bin/busted does, for any interpreter that can run a Lua program.
require "busted.runner" { standalone = false }
