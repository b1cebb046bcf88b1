// ActorCall: a call of an actor as its caller keeps it, until it is in a ring, or until its answer where it may have to
// be repeated. Owned by its ActorLink, or by the PendingCall. One thread at a time changes it.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/strings.h"
#include "client/ray/cluster/call_arguments.h"

namespace raylet::client {

struct ActorCall {
  std::string_view function;
  std::string owned_function;  // what `function` refers to once the call is kept
  std::string name;            // for people; empty: the function's
  CallArguments arguments;
  bool resolved = false;
  std::vector<ValueView> views;
  Holds holds;  // of the arguments, for another process of the actor
  LendId lend = 0;
  int32_t retries_left = 0;       // how often another process of the actor may run it; -1: for ever
  int32_t exception_retries = 0;  // how often the same process runs it again when it throws; -1: for ever
  ClusterObjectPtr result;
};

// The failure that a call's getter hears. `call` may be null, or have a name.
inline FailurePtr FailureOfCall(const FailurePtr& failure, const ActorCall* call) {
  if (call == nullptr || call->name.empty()) return failure;
  auto told = std::make_shared<Failure>(*failure);
  told->message += StrCat(", during call '", call->name, "' (", call->function, ")");
  return told;
}

}  // namespace raylet::client
