// StoreWatch: tells a loop which objects have been sealed, over a connection of its own. Owned by the loop's program
// (raylet's store_link); one thread. Never waits except in Connect: watch fd() for reading, then call TryReadSealed.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "fbs/ids.h"

namespace raylet::client {

class StoreWatch {
 public:
  static Result<std::unique_ptr<StoreWatch>> Connect(const std::string& socket, const std::string& name,
                                                     Deadline deadline, bool retry);
  ~StoreWatch();

  int fd() const;
  uint32_t client_number() const;
  // One notice for each id, at once where the object is sealed already.
  Result<void> Watch(std::span<const ObjectId> ids);
  // What has been sealed since the last call; empty when nothing has. kDisconnected when the daemon has gone.
  Result<std::vector<ObjectId>> TryReadSealed();

 private:
  struct State;
  explicit StoreWatch(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace raylet::client
