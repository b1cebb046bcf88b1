#include "client/ray/local/local_actor.h"

#include <atomic>
#include <utility>

#include "base/strings.h"

namespace raylet::client {
namespace {

thread_local LocalActor* current_actor = nullptr;
thread_local bool on_thread_of_an_actor = false;
thread_local const std::atomic<bool>* current_call_cancelled = nullptr;

struct CurrentActorScope {
  explicit CurrentActorScope(LocalActor* actor) { current_actor = actor; }
  ~CurrentActorScope() { current_actor = nullptr; }
};

}  // namespace

std::vector<LocalArgument> TakeArguments(const LocalStore& store, std::vector<ray::internal::Argument> arguments) {
  std::vector<LocalArgument> taken;
  taken.reserve(arguments.size());
  for (ray::internal::Argument& argument : arguments) {
    argument.value.KeepRest();
    if (argument.reference != nullptr)
      taken.push_back({nullptr, ObjectOf(store, argument.reference)});
    else
      taken.push_back({std::make_shared<const ray::internal::Packed>(std::move(argument.value)), nullptr});
  }
  return taken;
}

LocalViews ViewsOf(LocalStore& store, const std::vector<LocalArgument>& arguments) {
  LocalViews result;
  result.views.reserve(arguments.size());
  for (const LocalArgument& argument : arguments) {
    ValuePtr value = argument.value;
    if (argument.reference != nullptr) {
      LocalOutcome outcome = store.Outcome(*argument.reference);
      if (outcome.failure != nullptr) {
        result.failure = std::move(outcome.failure);
        return result;
      }
      value = std::move(outcome.value);
    }
    result.views.push_back({value->bytes, value, value});
  }
  return result;
}

ray::internal::Packed InvokeAgain(const ray::internal::RegisteredFunction& function, void* instance,
                                  std::span<const ray::internal::PackedView> arguments, int exception_retries,
                                  const std::function<bool()>& cancelled) {
  for (;;) {
    try {
      return function.invoke(function.target.data(), function.target.size(), instance, arguments);
    } catch (const LocalActorExit&) {
      throw;
    } catch (...) {
      if (exception_retries == 0 || (cancelled && cancelled())) throw;
      if (exception_retries > 0) --exception_retries;
    }
  }
}

// One call, on the thread that runs it.
struct LocalActor::RunningCall {
  explicit RunningCall(const LocalObject* of) : result(of) { current_call_cancelled = &cancelled; }
  ~RunningCall() { current_call_cancelled = nullptr; }
  const LocalObject* const result;
  std::atomic<bool> cancelled{false};
};

bool LocalActor::CurrentCallIsCancelled() { return current_call_cancelled != nullptr && *current_call_cancelled; }

bool LocalActor::Cancel(const LocalObject& result) {
  PendingCall dropped;  // goes without the lock
  const MutexLock lock(mutex_);
  for (RunningCall* const call : running_) {
    if (call->result != &result) continue;
    call->cancelled = true;
    return true;
  }
  for (auto call = queue_.begin(); call != queue_.end(); ++call) {
    if (call->result.get() != &result) continue;
    dropped = std::move(*call);
    queue_.erase(call);
    changed_.NotifyAll();
    return true;
  }
  return false;
}

LocalActor* LocalActor::Current() { return current_actor; }
bool LocalActor::OnThreadOfOne() { return on_thread_of_an_actor; }

LocalActor::LocalActor(std::shared_ptr<LocalStore> store, Options options,
                       const ray::internal::RegisteredFunction& factory, std::vector<LocalArgument> arguments)
    : store_(std::move(store)), options_(std::move(options)), factory_(factory), arguments_(std::move(arguments)) {}

LocalActor::~LocalActor() = default;

void LocalActor::Start() {
  const MutexLock lock(mutex_);
  threads_running_ = options_.max_concurrency;
  for (int i = 0; i < options_.max_concurrency; ++i) threads_.emplace_back([this] { Loop(); });
}

LocalObjectPtr LocalActor::Call(const ray::internal::RegisteredFunction& method, std::vector<LocalArgument> arguments,
                                const ray::internal::CallOptions& options) {
  LocalObjectPtr result = store_->NewObject();
  result->MarkOfCall();
  LocalFailurePtr failure;
  {
    const MutexLock lock(mutex_);
    if (state_ != State::kDead)
      queue_.push_back({&method, std::move(arguments), result, options.max_retries,
                        options.retry_exceptions ? options.max_retries : 0});
    else
      failure = cause_;
  }
  if (failure != nullptr)
    store_->Fail(result, std::move(failure));
  else
    changed_.NotifyOne();
  return result;
}

void LocalActor::Kill(bool no_restart) {
  const MutexLock lock(mutex_);
  if (state_ == State::kDead) return;
  kill_ = true;
  no_restart_ = no_restart_ || no_restart;
  if (cause_ == nullptr) cause_ = ActorFailure("the actor was killed", true);
  changed_.NotifyAll();
}

void LocalActor::Release() {
  if (store_->InChild()) return;
  const MutexLock lock(mutex_);
  released_ = true;
  changed_.NotifyAll();
}

void LocalActor::Join() {
  std::vector<std::thread> threads;
  {
    const MutexLock lock(mutex_);
    threads.swap(threads_);
  }
  for (std::thread& thread : threads) thread.join();
}

bool LocalActor::Dead() const {
  const MutexLock lock(mutex_);
  return state_ == State::kDead ||
         (kill_ && (no_restart_ || (options_.max_restarts >= 0 && restarts_ >= options_.max_restarts)));
}

bool LocalActor::Finished() const {
  const MutexLock lock(mutex_);
  return threads_running_ == 0;
}

bool LocalActor::Restarted() const {
  const MutexLock lock(mutex_);
  return restarts_ > 0;
}

void LocalActor::Loop() {
  on_thread_of_an_actor = true;
  const MutexLock lock(mutex_);
  while (state_ != State::kDead) {
    if (kill_ && running_.empty() && !creating_) {
      TakeDown();
    } else if (state_ == State::kStarting && !creating_) {
      Create();
    } else if (state_ == State::kAlive && !kill_ && !queue_.empty()) {
      RunOne();
    } else if (state_ == State::kAlive && released_ && queue_.empty() && running_.empty()) {
      kill_ = no_restart_ = true;
      if (cause_ == nullptr) cause_ = ActorFailure("the last handle of the actor is gone", false);
    } else {
      changed_.Wait(mutex_);
    }
  }
  --threads_running_;
  changed_.NotifyAll();
}

void LocalActor::Create() {
  creating_ = true;
  mutex_.Unlock();
  ray::internal::ActorInstance instance;
  LocalFailurePtr failure;
  try {
    const CurrentActorScope scope(this);
    std::vector<LocalObject*> references;
    for (const LocalArgument& argument : arguments_)
      if (argument.reference != nullptr) references.push_back(argument.reference.get());
    store_->Wait(references, references.size(), -1);
    const LocalViews views = ViewsOf(*store_, arguments_);
    if (views.failure != nullptr) views.failure->Throw();
    instance = factory_.create(factory_.target.data(), factory_.target.size(), views.views);
  } catch (...) {
    const LocalFailurePtr thrown = FailureOfCurrentException(factory_.name);
    failure = ActorFailure(StrCat("the actor's constructor failed: ", thrown->function, " threw ",
                                  thrown->exception_type, ": ", thrown->thrown_what),
                           false);
  }
  mutex_.Lock();
  creating_ = false;
  if (failure == nullptr) {
    instance_ = instance;
    state_ = State::kAlive;
  } else {
    state_ = State::kDead;
    cause_ = failure;
    FailQueue(failure);
  }
  changed_.NotifyAll();
}

void LocalActor::RunOne() {
  PendingCall call = std::move(queue_.front());
  queue_.pop_front();
  RunningCall running(call.result.get());
  running_.push_back(&running);
  void* const object = instance_.object;
  mutex_.Unlock();
  LocalFailurePtr failure;
  bool exits = false;
  try {
    const CurrentActorScope scope(this);
    std::vector<LocalObject*> references;
    for (const LocalArgument& argument : call.arguments)
      if (argument.reference != nullptr) references.push_back(argument.reference.get());
    store_->Wait(references, references.size(), -1);
    const LocalViews views = ViewsOf(*store_, call.arguments);
    failure = views.failure;
    if (failure == nullptr)
      store_->Fulfil(call.result, InvokeAgain(*call.method, object, views.views, call.exception_retries,
                                              [&running] { return running.cancelled.load(); }));
  } catch (const LocalActorExit&) {
    exits = true;
    failure = ActorFailure("the actor ended itself with ray::ExitActor", true);
  } catch (...) {
    failure = FailureOfCurrentException(call.method->name);
  }
  if (failure != nullptr) store_->Fail(call.result, failure);
  call = {};  // destroys its arguments without the lock
  mutex_.Lock();
  std::erase(running_, &running);
  if (exits) {
    kill_ = no_restart_ = true;
    cause_ = failure;
  }
  changed_.NotifyAll();
}

void LocalActor::TakeDown() {
  const ray::internal::ActorInstance instance = std::exchange(instance_, {});
  const bool restart = !no_restart_ && (options_.max_restarts < 0 || restarts_ < options_.max_restarts);
  const LocalFailurePtr cause = cause_;
  kill_ = false;
  state_ = restart ? State::kStarting : State::kDead;
  if (restart) {
    cause_ = nullptr;
    ++restarts_;
  }
  creating_ = true;  // nobody else touches the object meanwhile
  FailQueue(cause, restart);
  mutex_.Unlock();
  if (instance.object != nullptr) instance.destroy(instance.object);
  mutex_.Lock();
  creating_ = false;
  changed_.NotifyAll();
}

void LocalActor::FailQueue(const LocalFailurePtr& failure, bool repeat) {
  std::deque<PendingCall> calls;
  calls.swap(queue_);
  for (PendingCall& call : calls) {
    if (!repeat || call.retries_left == 0) continue;
    if (call.retries_left > 0) --call.retries_left;
    queue_.push_back(std::move(call));
  }
  std::erase_if(calls, [](const PendingCall& call) { return call.result == nullptr; });
  mutex_.Unlock();
  for (const PendingCall& call : calls) store_->Fail(call.result, failure);
  calls.clear();
  mutex_.Lock();
}

}  // namespace raylet::client
