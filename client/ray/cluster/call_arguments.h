// The arguments of one call, between Remote() and the record or message that carries them. Owned by
// the call; one thread at a time.
#pragma once

#include <vector>

#include "client/ray/cluster/cluster_object.h"
#include "client/ray/cluster/ownership.h"
#include "fbs/call_record.h"

namespace raylet::client {

class CallArguments {
 public:
  CallArguments() = default;
  // Values that are too large to travel inline go into the store. Throws RayException.
  CallArguments(const ObjectParts& parts, std::vector<ray::internal::Argument> arguments);

  // An object of ours that is still to come, or null: the call must wait for it.
  ClusterObjectPtr FirstUnready() const;
  // Fills in the arguments of the record. Call it once, when no argument is unready. The views live as long as these
  // arguments. Returns a failure where an argument has a failure for its value.
  FailurePtr Resolve(std::vector<ValueView>& out);
  size_t inline_bytes() const;
  // Whether they refer to what must stay while the callee uses them. Call it after Resolve.
  bool Lends() const { return !holds_.empty(); }
  // The holds that must stay while the callee uses the arguments. Call it after Resolve.
  Holds TakeHolds() { return std::move(holds_); }

 private:
  std::vector<ray::internal::Argument> arguments_;  // each a value, or a reference whose value it is
  Holds holds_;
};

// A new object of ours that is ready: small in this process, large in the store. Throws
// RayException.
ClusterObjectPtr PutObject(const ObjectParts& parts, ray::internal::Packed value);

}  // namespace raylet::client
