// The arguments of one call, between Remote() and the record or message that carries them. Owned by the call; one
// thread
// at a time.
#pragma once

#include <string>
#include <vector>

#include "client/ray/cluster/cluster_object.h"
#include "client/ray/cluster/lends.h"
#include "fbs/call_record.h"

namespace raylet::client {

class ClusterCore;

class CallArguments {
 public:
  CallArguments() = default;
  // Values that are too large to travel inline go into the store. Throws RayException.
  CallArguments(ClusterCore& core, std::vector<ray::internal::Argument> arguments);

  // An object of ours that is still to come, or null: the call must wait for it.
  ClusterObjectPtr FirstUnready() const;
  // What the record says; call once, when nothing is unready. The views live as long as these arguments. A failure
  // where
  // an argument has none but that.
  FailurePtr Resolve(std::vector<ValueView>& out);
  size_t inline_bytes() const;
  // What must stay while the callee looks at them; after Resolve.
  Holds TakeHolds() { return std::move(holds_); }

 private:
  struct Value {
    std::string bytes;
    ClusterObjectPtr reference;  // set: its value instead of bytes
  };
  std::vector<Value> values_;
  Holds holds_;
};

// A new object of ours that is ready: small in this process, large in the store. Throws RayException.
ClusterObjectPtr PutObject(ClusterCore& core, ray::internal::Packed value);

}  // namespace raylet::client
