// What outlives plasma_store's server, and the messages by which it comes to the keeper: descriptors alone. The keeper
// and the server have a socket pair between them. Always holds: a message is sent whole, with its descriptors, or not
// at all; once sent it arrives, also after the sender's death.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace raylet::store {

struct KeptClient {
  UniqueFd pins;    // its page
  UniqueFd socket;  // of its connection: reads end of file once the client is gone
};

struct Kept {
  UniqueFd listening, arena, index;
  std::map<uint32_t, KeptClient> clients;  // by number
};

enum class KeepWhat : uint32_t {
  kMemory = 1,      // to a keeper: listening socket, arena, index
  kClient = 2,      // to a keeper: pin page and socket of client `value`, new or instead of the last
  kClientGone = 3,  // to a keeper: client `value` has ended
  kDone = 4,        // to a keeper: the server ends as asked, with exit code `value`; it is not started again
  kStop = 5,        // to a server: end as asked
  kHandedOver = 6,  // to a keeper: another keeper has all of it, and cleans up
  // Between a server and the newer plasma_store that takes its objects over:
  kTake = 7,   // give me all
  kAll = 8,    // those before this were all, with `value` clients
  kTaken = 9,  // I have them; end
};
struct KeepMessage {
  KeepWhat what{};
  uint32_t value = 0;
};

// kFull: the other side has not taken earlier messages. kDisconnected: it is gone.
Result<void> SendKept(int channel, KeepMessage message, std::span<const int> fds = {});
// Waits for nothing. kTimedOut: nothing is there now. kDisconnected: the other side is gone.
Result<KeepMessage> ReceiveKept(int channel, std::vector<UniqueFd>& fds);
// The keeper's book-keeping. Does nothing for other messages.
void Apply(Kept& kept, KeepMessage message, std::vector<UniqueFd> fds);

// The same as numbers of descriptors, which others own.
struct KeptFds {
  int listening = -1, arena = -1, index = -1;
  struct Client {
    int pins = -1, socket = -1;
  };
  std::map<uint32_t, Client> clients;
};
// All of it, for a keeper that has nothing yet, and kAll. Waits up to a second for a keeper that does not read.
Result<void> SendAll(int channel, const KeptFds& kept);

}  // namespace raylet::store
