#include "client/ray/worker/call_executor.h"

#include <ray/api/exceptions.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>

#include "base/log.h"
#include "base/strings.h"
#include "client/ray/cluster/borrowings.h"
#include "client/ray/cluster/cluster_runtime.h"
#include "client/ray/cluster/references.h"
#include "client/ray/worker/result_store.h"
#include "fbs/stored_value.h"
#include "fbs/text_bounds.h"

namespace raylet::client {
namespace {

FailurePtr NotRegistered(std::string_view function) {
  auto failure = std::make_shared<Failure>();
  failure->kind = wire::FailureKind::FunctionNotFound;
  failure->function = function;
  failure->message = StrCat("the worker does not know the function ", failure->function);
  failure->retry_safe = true;
  failure->hint =
      "name it in RAY_REMOTE in a source file that is part of the program, or of a library of "
      "--ray_code_search_path";
  return failure;
}

CallOutcome Failed(const FailurePtr& failure) {
  CallOutcome outcome;
  outcome.kind = ValueView::Kind::kFailed;
  Failure shortened = *failure;
  Shorten(shortened);
  outcome.bytes = EncodeFailure(shortened);
  outcome.failure = std::make_shared<const Failure>(std::move(shortened));
  return outcome;
}

// A failure because this machine's store has ended says nothing about the work. The waiting process hears of this
// machine's end instead, and a task that may be retried runs on another machine. The raylet ends with its store, and
// this process with its raylet.
[[noreturn]] void EndWithTheRaylet(RayletLink& link, const Failure& failure) {
  constexpr std::chrono::seconds kPatience{10};
  RAYLET_LOG(kError, "this worker ends with the store of its machine: ", failure.message);
  SpinPark park;
  park.WaitUntil(
      link.doorbell(), Deadline::After(kPatience), [] { return false; }, [&] { return !link.Gone(); }, {},
      std::chrono::seconds(1));
  std::fflush(nullptr);
  ::_exit(1);
}

}  // namespace

const CallExecutor::Function* CallExecutor::Find(std::string_view name) {
  if (last_function_ != nullptr && last_function_->name == name) return last_function_;
  const auto known = functions_.find(name);
  if (known != functions_.end()) return last_function_ = known->second;
  const Function* function = ray::internal::FindFunction(name);
  if (function == nullptr) return nullptr;
  functions_.emplace(function->name, function);
  return last_function_ = function;
}

FailurePtr CallExecutor::FetchStored(const ObjectId& id, ray::internal::PackedView& view) {
  // The object may be the caller's own, or borrowed by the caller and not here yet.
  auto found = store_.Fetch(id, Deadline::Never(), /*may_be_sealed=*/true);
  if (!found) {
    if (found.error().code == ErrorCode::kNotFound)
      return MakeFailure(wire::FailureKind::ObjectLost, StrCat("an argument is lost: ", found.error().message));
    return FailureOf(found.error(), StrCat("argument ", id.hex(), " cannot be read"));
  }
  const std::string_view metadata = AsText(found->metadata());
  if (IsFailure(metadata)) return DecodeFailure(AsText(found->data()));
  auto shared = std::make_shared<const PinnedObject>(*std::move(found));
  view.bytes = AsText(shared->data());
  view.keep_alive = std::move(shared);
  return nullptr;
}

FailurePtr CallExecutor::Unpack(const CallRequest& request, const std::shared_ptr<BorrowedLend>& lend) {
  views_.clear();
  for (const ValueView& argument : request.arguments) {
    ray::internal::PackedView view;
    view.lend = lend;
    switch (argument.kind) {
      case ValueView::Kind::kInline: view.bytes = argument.bytes; break;
      case ValueView::Kind::kFailed: return DecodeFailure(argument.bytes);
      case ValueView::Kind::kStored:
        if (FailurePtr failure = FetchStored(argument.id, view); failure != nullptr) return failure;
        if (lend != nullptr) view.lend = borrowings_.Cover(lend, argument.id);  // what is found in it needs it
        break;
    }
    views_.push_back(std::move(view));
  }
  return nullptr;
}

template <class Run>
CallOutcome CallExecutor::Execute(const CallRequest& request, Run run) {
  std::shared_ptr<BorrowedLend> lend;
  if (request.lend != 0) {
    std::vector<ObjectId> covered;
    for (const ValueView& argument : request.arguments)
      if (argument.kind == ValueView::Kind::kStored) covered.push_back(argument.id);
    lend = std::make_shared<BorrowedLend>(link_, ownership_, borrowings_, request.caller, request.lend,
                                          BorrowedLend::Told::kOnceArmed, std::weak_ptr<CallChannel>(),
                                          std::move(covered));
  }
  CallOutcome outcome;
  const Function* function = Find(request.function);
  FailurePtr failure = function == nullptr ? NotRegistered(request.function) : Unpack(request, lend);
  int32_t retries = request.exception_retries;
  bool again = failure == nullptr;
  while (again) {
    again = false;
    try {
      ray::internal::Packed result = run(*function);
      if (!result.holds.empty()) outcome.references = ReferencesInValue(result.bytes);
      if (result.size() <= kInlineValueBytesMax) {
        outcome.bytes = std::move(result.bytes);
      } else if (const auto stored = StoreResult(store_, request.result_id, {result.bytes, result.rest},
                                                 ValueMetadata(outcome.references), request.caller_store_client);
                 stored) {
        outcome.kind = ValueView::Kind::kStored;
      } else {
        failure = FailureOf(stored.error(), StrCat("the result of ", request.function, " cannot be stored"));
      }
      if (outcome.references.size() > kReferencesInReplyMax) outcome.references.resize(kReferencesInReplyMax);
      if (failure == nullptr) outcome.lend = ownership_.Lend(request.caller, std::move(result.holds));
    } catch (const ActorExit&) {
      outcome.exit_actor = true;
    } catch (...) {
      again = retries != 0 && (request.current == nullptr || !request.current->IsCancelled()) &&
              !CurrentCalls::IsCancelledHere();
      if (retries > 0) --retries;
      if (!again) failure = FailureOfCurrentException(request.function);
    }
  }
  views_.clear();
  if (failure != nullptr && store_.Disconnected()) EndWithTheRaylet(link_, *failure);
  if (failure != nullptr) outcome = Failed(failure);
  if (lend != nullptr) {
    outcome.arguments_retained = lend.use_count() > 1;
    if (outcome.arguments_retained) {
      lend->Arm();  // our reference goes after the reply, so that the release comes behind the reply
      outcome.retained = borrowings_.Retain(lend.get());
      if (outcome.retained.size() > kRetainedInReplyMax) outcome.retained.clear();
    }
    outcome.arguments = std::move(lend);
  }
  return outcome;
}

CallOutcome CallExecutor::Call(const CallRequest& request, void* instance) {
  if (instance == nullptr) return Invoke(request, instance);
  const CurrentCalls::Call call(calls_, request.result_id);
  if (!call.IsCancelled()) return Invoke(request, instance);
  return Failed(MakeFailure(wire::FailureKind::TaskCancelled, "the call was cancelled before it began"));
}

CallOutcome CallExecutor::Invoke(const CallRequest& request, void* instance) {
  return Execute(request, [&](const Function& function) {
    if (function.invoke == nullptr)
      throw ray::internal::RayException(StrCat(request.function, " creates actors: call it through ray::Actor"));
    return function.invoke(function.target.data(), function.target.size(), instance, views_);
  });
}

CallOutcome CallExecutor::CreateActor(const CallRequest& request, ray::internal::ActorInstance& instance) {
  return Execute(request, [&](const Function& function) {
    if (function.create == nullptr)
      throw ray::internal::RayException(StrCat(request.function, " creates no actors: call it through ray::Task"));
    instance = function.create(function.target.data(), function.target.size(), views_);
    return ray::internal::Packed();
  });
}

}  // namespace raylet::client
