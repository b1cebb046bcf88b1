// ConnectToStore: the first exchange of a client and plasma_store. The client says who it is, and the daemon answers
// with its memory. Any thread.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/frame_connection.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "fbs/ids.h"

namespace raylet::client {

// The daemon's answer to a new client.
struct StoreWelcome {
  uint32_t client = 0;
  uint64_t arena_bytes = 0;
  uint64_t capacity_bytes = 0;
  UniqueFd arena_read_only;
  UniqueFd writing;  // where this client writes, from writing_offset on: the arena, or memory of its own
  uint64_t writing_offset = 0;
  UniqueFd index;
  UniqueFd pins;
};

// A client's first words.
struct StoreGreeting {
  std::string name;   // for people
  uint32_t heir = 0;  // a client's number; 0: none
  // Of a client that connects again (ConnectAgain): its number, the ticket of its page, and what it has asked to seal.
  uint32_t again = 0;
  uint64_t ticket = 0;
  std::span<const ObjectId> seals{};
  bool tell_owned = false;
  // Gets the connection where no good answer comes.
  std::vector<FrameConnection>* unanswered = nullptr;
};

// Connects and says hello. A new client whose server dies before it answers goes to the next one. kNotRunning names the
// command that starts a daemon.
Result<FrameConnection> ConnectToStore(const std::string& socket, const StoreGreeting& greeting, Deadline deadline,
                                       bool retry, StoreWelcome& welcome);

// Between two tries to reach a server that may come: 2 ms.
void PauseBeforeTheNextTry();

}  // namespace raylet::client
