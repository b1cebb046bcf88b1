// objstat: shows the objects of a plasma_store, the clients that hold them, and a ledger that adds up. Reads shared
// memory only, so it also answers when the daemon hangs or is dead.
#include <unistd.h>

#include <cstdlib>

#include "tools/objstat/command.h"

int main(int argc, char** argv) {
  const raylet::objstat::Parsed parsed = raylet::objstat::ParseCommand(argc, argv);
  if (parsed.exit_code >= 0) return parsed.exit_code;
  return Run(parsed.command, {::isatty(STDOUT_FILENO) == 1 && std::getenv("NO_COLOR") == nullptr});
}
