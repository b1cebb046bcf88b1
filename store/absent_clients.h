// AbsentClients: clients of an earlier server that have not connected again. Their pins hold meanwhile. Owned by the
// StoreServer; loop thread only.
// Always holds: a client is in here until it connects again, or until its old socket says that it is gone.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "base/loop.h"
#include "base/shm_segment.h"
#include "base/unique_fd.h"
#include "fbs/segment_layout.h"
#include "store/inherited_notices.h"

namespace raylet::store {

class AbsentClients {
 public:
  // `ended` is called from the loop with the number of a client that is gone, and no more in here. What it had is given
  // along, so that its page can be read until then.
  struct Client {
    UniqueFd pins_fd;
    Mapping pins;
    UniqueFd socket;
    InheritedNotices inherited;
    FdWatcher watcher;  // goes before socket
  };
  using Ended = std::function<void(uint32_t client, std::unique_ptr<Client> had)>;
  AbsentClients(Loop& loop, Ended ended) : loop_(loop), ended_(std::move(ended)) {}

  // The client hears of the earlier server's end now.
  void Add(uint32_t client, UniqueFd pins_fd, Mapping pins, UniqueFd socket, InheritedNotices inherited = {});
  bool Has(uint32_t client, uint64_t ticket) const;
  std::unique_ptr<Client> Take(uint32_t client);  // which connects again
  Client* Find(uint32_t client);
  std::vector<uint32_t> numbers() const;

 private:
  void Read(uint32_t client);

  Loop& loop_;
  const Ended ended_;
  std::map<uint32_t, std::unique_ptr<Client>> clients_;
};

}  // namespace raylet::store
