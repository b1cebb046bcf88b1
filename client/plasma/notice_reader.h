// ReadNotice: takes the next notice out of the socket of a subscription. Any thread; each notice goes to one of them.
#pragma once

#include <functional>

#include "base/mutex.h"
#include "base/result.h"
#include "fbs/object_notice.h"

namespace raylet::client {

class NoticeReader {
 public:
  // Waits for it, and asks `usable` at least every 100 ms. kDisconnected at the socket's end.
  Result<ObjectNotice> Read(int socket, const std::function<Result<void>()>& usable);

 private:
  // Nothing where no notice has come. The store sends each whole.
  Result<std::optional<ObjectNotice>> TryRead(int socket) RAYLET_EXCLUDES(mutex_);

  Mutex mutex_;  // from the look at a notice until it is taken out
};

}  // namespace raylet::client
