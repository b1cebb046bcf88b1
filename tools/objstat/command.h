// Command: objstat's command line, and what each subcommand prints. main owns it; one thread.
#pragma once

#include <cstdint>
#include <string>

#include "tools/objstat/text.h"

namespace raylet::objstat {

// The user's wish. An empty verb is the default screen.
struct Command {
  std::string verb, socket;
  std::string subject;  // of show, dump and why
  std::string state, sort = "place", output;
  bool json = false, prom = false, watch = false, metadata = false;
  double interval_s = 1;
  uint64_t count = 0;  // of looks; 0: for ever
  uint64_t limit = 0;  // of lines; 0: the verb's own
  uint64_t older_ms = 0;
};

// The command, or the exit code where nothing is left to do: after --help, --version, or a mistake that was explained.
struct Parsed {
  Command command;
  int exit_code = -1;  // -1: run the command
};
Parsed ParseCommand(int argc, char** argv);

// Prints to stdout. Returns the exit code.
int Run(const Command& command, Look look);

}  // namespace raylet::objstat
