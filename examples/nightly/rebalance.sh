#!/bin/sh
# Moves keys to their homes at night, a few at a time, and writes what it did to a log.
#
#   rebalance.sh CONFIG [KEYS A SECOND]
#
# In the crontab, for two o'clock; at six whatever is not done stops, and the next night goes on with it:
#
#   0 2 * * *  timeout --preserve-status -s INT 4h /srv/shop/rebalance.sh /srv/shop/collegedb.lua 500
#
# Paths in the config are relative to its folder. The log is rebalance.log beside the config. What ends well is silent,
# so that cron writes a mail only when there is something to do for a person. Exit status: 0 done, or stopped, to be gone
# on with; 3 some keys could not be moved, which the log names; 75 the last night's is still running; else it failed.
set -u
PATH=$PATH:/usr/local/bin # cron's has it not

config=${1:?usage: rebalance.sh CONFIG [KEYS A SECOND]}
rate=${2:-500}
cd "$(dirname "$config")" || exit 1
config=./$(basename "$config")
log=rebalance.log

note() { echo "$(date '+%Y-%m-%d %H:%M:%S') $*" >>"$log"; }

# One at a time on this machine; between machines the directory sees to it. The lock is held while the command runs.
exec 9>rebalance.lock
if ! flock -n 9; then
  echo "rebalance.sh: the one before is still running" >&2
  exit 75
fi

# The signal of `timeout` reaches the command too, which then ends in order; this script goes on, to say so.
trap : INT TERM
note "begins, at most $rate keys a second"
collegedb rebalance --config "$config" --rate "$rate" >>"$log" 2>&1
status=$?

case $status in
  0) note "done" ;;
  130) note "stopped; the next run goes on" && status=0 ;;
  3)
    note "some keys could not be moved"
    echo "rebalance.sh: some keys could not be moved; see $PWD/$log" >&2
    ;;
  *)
    note "failed with status $status"
    echo "rebalance.sh: failed with status $status; the end of $PWD/$log is:" >&2
    tail -n 5 "$log" >&2
    ;;
esac
exit "$status"
