// Flags: the settings of plasma_store: from its command line, else its environment, else its config file. main calls it
// once.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace raylet::store {

struct Flags {
  std::string memory, socket, directory, external_store, memory_root, log_level = "warning";
  bool hugepages = false;
  int ready_fd = -1, lifeline_fd = -1;
  uint32_t deaths_max = 10;
  uint32_t decay_s = 0;            // 0: no memory goes back to the machine
  std::vector<std::string> words;  // of the command line, for another keeper
  std::string config;
  std::string take_over;                 // the socket of the store to take over; empty: none
  std::string spill_dir, spill_max;      // empty: nothing is spilled; no bound
  std::string isolation = "user";        // or "strict"
  std::optional<uint16_t> metrics_port;  // 0: one that the kernel chooses
  std::string metrics_address = "127.0.0.1";
};

struct ParsedFlags {
  Flags flags;
  int exit_code = -1;  // -1: serve; otherwise all has been said, as after --help or a mistake
};
ParsedFlags ParseFlags(int argc, char** argv);

}  // namespace raylet::store
