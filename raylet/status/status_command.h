// StatusCommand: `raylet status`, which asks a running raylet how it is and prints one screen, or JSON. Called by main
// instead of the daemon; one thread; every wait ends at --timeout.
#pragma once

namespace raylet {

// `argv[0]` is the subcommand's own name. Returns the exit code.
int StatusCommand(int argc, char** argv);

}  // namespace raylet
