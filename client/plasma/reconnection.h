// A client goes on when its store's server has died and another one serves. It connects again under its number and with
// its pin page, and repeats the requests that the dead server had not handled.
#pragma once

#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/frame_connection.h"
#include "base/result.h"
#include "fbs/ids.h"
#include "fbs/messages.h"
#include "fbs/segment_layout.h"

namespace raylet::client {

// A client that was connected before. The page outlives it.
struct KnownClient {
  uint32_t number = 0;
  const PinPage* page = nullptr;
};

// `unanswered`: connections over which no server has answered. The caller keeps them until one server has answered. A
// server may know the client by any of them, and takes its end for the client's. `seals`: objects that the dead server
// may not have sealed. `tell_owned`: the server tells again of all objects that the client owns, as if it inherited
// them now. kTimedOut: the keeper lives, and no server has answered yet. Any other error is for good: nobody serves the
// socket, or another store does.
Result<FrameConnection> ConnectAgain(const std::string& socket, const KnownClient& client,
                                     std::span<const ObjectId> seals, Deadline deadline,
                                     std::vector<FrameConnection>& unanswered, bool tell_owned = false);

// SentRequests: the requests without a reply that the server may not have handled yet. It counts in the pin page what
// it has handled. Not for several threads at once. Always holds: it has no more than what the socket's buffers hold,
// and one request of each kind of thread besides.
class SentRequests {
 public:
  struct Request {
    uint64_t frame = 0;  // of its connection, from 1 on
    wire::StoreMessage type{};
    std::vector<std::byte> body;
  };
  // A frame was sent, for which somebody waits. Or one for which nobody does.
  void Sent() { ++frames_; }
  void Sent(wire::StoreMessage type, std::vector<std::byte> body) {
    requests_.push_back({++frames_, type, std::move(body)});
  }
  // Forgets those that `handled` frames include.
  void Handled(uint64_t handled) {
    while (!requests_.empty() && requests_.front().frame <= handled) requests_.pop_front();
  }
  // All that are left, for a connection that starts now.
  std::deque<Request> TakeAll() {
    frames_ = 0;
    return std::exchange(requests_, {});
  }
  const std::deque<Request>& requests() const { return requests_; }

 private:
  uint64_t frames_ = 0;  // of the present connection
  std::deque<Request> requests_;
};

}  // namespace raylet::client
