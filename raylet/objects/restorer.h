// Restorer: gets spilled objects back into this machine's store. That takes as long as the disk, so it has a thread of
// its own, from the first spilled object on. Owned by the ObjectSender; that one's thread calls it.
// Always holds: each `done` is called once, on the loop, unless the Restorer has gone. One object comes after the
// other.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "base/loop.h"
#include "base/loop_thread.h"
#include "base/result.h"
#include "client/plasma/store_client.h"

namespace raylet {

class Restorer {
 public:
  using Restored = Result<std::optional<client::PinnedObject>>;  // as StoreClient::GetHere says
  using Done = std::function<void(Restored)>;

  // `loop` outlives it.
  Restorer(Loop& loop, std::shared_ptr<client::StoreClient> store) : loop_(loop), store_(std::move(store)) {}
  ~Restorer() { life_.reset(); }  // then waits for the object that is being restored

  void Get(const ObjectId& object, Done done);

 private:
  Loop& loop_;
  const std::shared_ptr<client::StoreClient> store_;
  std::shared_ptr<int> life_ = std::make_shared<int>();  // posted work ends with it
  std::optional<LoopThread> thread_;
};

}  // namespace raylet
