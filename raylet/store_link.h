// StoreLink: tells the raylet which objects have been sealed in the store. Owned by main; loop thread only.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>

#include "base/loop.h"
#include "base/result.h"
#include "fbs/ids.h"

namespace raylet {

class StoreLink {
 public:
  class Handler {
   public:
    virtual ~Handler() = default;
    virtual void OnSealed(const ObjectId& object) = 0;
    virtual void OnStoreGone(const Error& reason) = 0;  // once; nothing after it
  };

  virtual ~StoreLink() = default;
  // One OnSealed for each, from the loop, at once where it is sealed already.
  virtual void Watch(std::span<const ObjectId> objects) = 0;
  virtual void SetHandler(Handler& handler) = 0;  // before the loop runs
};

// Over a connection of its own. kNotRunning, with the command that starts a store, where nobody serves `socket`.
Result<std::unique_ptr<StoreLink>> ConnectStoreLink(Loop& loop, const std::string& socket);

}  // namespace raylet
