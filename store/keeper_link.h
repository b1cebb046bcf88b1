// KeeperLink: the server's end of the channel to the keeper. It tells the keeper of each client, so that a server that
// is started again knows them, and makes another keeper when this one dies. main owns it; loop thread only.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/loop.h"
#include "base/result.h"
#include "store/kept.h"
#include "store/service_manager.h"

namespace raylet::store {

class KeeperLink {
 public:
  // `kept` is what the keeper has. The owners of the descriptors outlive this, or forget them here. A new keeper is
  // started as `arguments`, with the number of its channel in the environment. `stop` is called when the keeper was
  // asked to stop.
  KeeperLink(Loop& loop, UniqueFd channel, KeptFds kept, std::vector<std::string> arguments,
             std::function<void()> stop);

  // Returns once the keeper is sure to have it: from then on the client's pins hold also in the next server. kLimit
  // where the keeper does not take it.
  Result<void> KeepClient(uint32_t client, int pins, int socket);
  void Forget(uint32_t client);
  // The manager keeps the same from now on, so that the objects survive keeper and server. Null: no more.
  void KeepWith(ServiceManager* manager);

  // Tells the keeper that the server ends as asked, and that the keeper cleans up. False: there is none.
  bool Done(int exit_code);
  // Sends all that the keeper keeps to another one. Then HandedOver ends this one, without a clean-up.
  Result<void> GiveAll(int channel) const { return SendAll(channel, kept_); }
  void HandedOver();

 private:
  void Read();
  void MakeKeeper();
  void StoreClient(uint32_t client);

  Loop& loop_;
  UniqueFd channel_;
  KeptFds kept_;
  const std::vector<std::string> arguments_;
  const std::function<void()> stop_;
  ServiceManager* manager_ = nullptr;
  TimePoint made_{};
  Timer again_;
  FdWatcher watcher_;  // after channel_
};

constexpr const char* kKeeperChannelVariable = "RAYLET_KEEPER_CHANNEL";

}  // namespace raylet::store
