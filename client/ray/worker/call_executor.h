// CallExecutor: runs a registered function for another process. It unpacks the arguments, runs the user's code, and
// packs the result into bytes or the store. The one place that catches user exceptions. Owned by the worker loop; its
// thread only.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include <ray/internal/runtime.h>

#include "client/ray/cluster/borrowed_lend.h"
#include "client/ray/cluster/cluster_object.h"
#include "client/ray/cluster/current_calls.h"
#include "client/ray/cluster/current_task.h"
#include "client/ray/cluster/failure.h"
#include "client/ray/cluster/ownership.h"
#include "client/ray/cluster/raylet_link.h"
#include "client/ray/cluster/store_access.h"
#include "fbs/call_record.h"

namespace raylet::client {

constexpr const char* kExitOutsideActor = "ExitActor was called outside of an actor's methods";

struct CallRequest {
  std::string_view function;
  std::span<const ValueView> arguments;
  ObjectId result_id;
  ProcessId caller = 0;
  uint32_t caller_store_client = 0;
  LendId lend = 0;
  int32_t exception_retries = 0;         // -1: for ever, while it is not cancelled
  const CurrentTask* current = nullptr;  // of a task
};

struct CallOutcome {
  ValueView::Kind kind = ValueView::Kind::kInline;
  std::string bytes;                 // kInline: the value; kFailed: an encoded Failure
  FailurePtr failure;                // kFailed
  LendId lend = 0;                   // of what the result refers to
  std::vector<ObjectId> references;  // with a lend: the objects in the result
  bool arguments_retained = false;
  std::vector<ObjectId> retained;           // which of them; none: all
  std::shared_ptr<BorrowedLend> arguments;  // drop it after the outcome is on its way
  bool exit_actor = false;                  // user code called ExitActor: there is no outcome
};

// CallRunner: runs the calls of an ActorHost.
class CallRunner {
 public:
  virtual ~CallRunner() = default;
  virtual CallOutcome Call(const CallRequest& request, void* instance) = 0;
};

class CallExecutor final : public CallRunner {
 public:
  CallExecutor(const ObjectParts& parts, CurrentCalls& calls)
      : calls_(calls),
        link_(parts.link),
        ownership_(parts.ownership),
        borrowings_(parts.borrowings),
        store_(parts.store) {}

  CallOutcome Call(const CallRequest& request, void* instance) override;
  CallOutcome CreateActor(const CallRequest& request, ray::internal::ActorInstance& instance);

 private:
  using Function = ray::internal::RegisteredFunction;
  CallOutcome Invoke(const CallRequest& request, void* instance);
  template <class Run>
  CallOutcome Execute(const CallRequest& request, Run run);
  const Function* Find(std::string_view name);
  FailurePtr Unpack(const CallRequest& request, const std::shared_ptr<BorrowedLend>& lend);
  FailurePtr FetchStored(const ObjectId& id, ray::internal::PackedView& view);

  CurrentCalls& calls_;
  RayletLink& link_;
  Ownership& ownership_;
  Borrowings& borrowings_;
  StoreAccess& store_;
  std::vector<ray::internal::PackedView> views_;  // of the call under way
  const Function* last_function_ = nullptr;       // most calls are of the same few functions
  std::unordered_map<std::string_view, const Function*> functions_;
};

}  // namespace raylet::client
