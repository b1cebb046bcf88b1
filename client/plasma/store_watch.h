// StoreWatch: tells a loop which objects have been sealed, and what its client has inherited, over a
// connection of its own. Owned by the loop's program (raylet's store_link); one thread. Never waits except in Connect:
// watch fd() for reading, then call TryRead.
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
  static constexpr size_t kNoticesPerRead = 1024;

  static Result<std::unique_ptr<StoreWatch>> Connect(const std::string& socket, const std::string& name,
                                                     Deadline deadline, bool retry);
  ~StoreWatch();

  int fd() const;  // another one after ConnectAgain
  uint32_t client_number() const;
  // Asks for one notice for each id, which comes at once where the object is sealed already. The notice ends the watch.
  Result<void> Watch(std::span<const ObjectId> ids);
  // No notice comes for these once News::unwatched names them.
  Result<void> Unwatch(std::span<const ObjectId> ids);
  // Deletes those of the objects that `client` created: at once if it has gone, otherwise at its end.
  Result<void> DeleteMadeBy(uint32_t client, std::span<const ObjectId> ids);
  // One notice: `client` has ended, and this client owns these objects of it now.
  struct Inherited {
    uint32_t client = 0;
    std::vector<ObjectId> ids;
    bool last = false;  // no more notices about `client`
  };
  struct News {
    std::vector<ObjectId> sealed;
    std::vector<ObjectId> unwatched;
    std::vector<ObjectId> refused;  // not watched, because this client watches as many as it may
    std::string why_refused;
    std::vector<Inherited> inherited;
    bool empty() const { return sealed.empty() && unwatched.empty() && refused.empty() && inherited.empty(); }
  };
  // The store's next notices, at most kNoticesPerRead. kDisconnected when the daemon has gone.
  Result<News> TryRead();
  // After kDisconnected: goes on with the server that the store's keeper has started, under the same number. No object
  // is watched any more, and inherited objects are told again. kTimedOut: not yet. Any other error: the store has gone.
  Result<void> ConnectAgain(Deadline deadline);
  // Notices have been received that TryRead has not returned. The socket does not show these.
  bool HasMore() const;
  // So many ids has the store been asked to watch or not to watch any more, and has not answered.
  size_t unanswered() const;

 private:
  struct State;
  explicit StoreWatch(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace raylet::client
