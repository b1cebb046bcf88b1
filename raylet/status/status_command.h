// StatusCommand: `raylet status`, which asks a running raylet for its status and prints one screen,
// or JSON. main calls it instead of the daemon. One thread; every wait ends at --timeout.
#pragma once

namespace raylet {

// `argv[0]` is the name of the subcommand. Returns the exit code.
int StatusCommand(int argc, char** argv);

}  // namespace raylet
