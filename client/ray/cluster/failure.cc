#include "client/ray/cluster/failure.h"

#include <unistd.h>

#include <ray/api/exceptions.h>

#include "base/strings.h"
#include "client/ray/api/user_exception.h"

namespace raylet::client {
namespace {

// A failure travels in one message and in one record of a ring, with its text in it twice.
constexpr size_t kThrownTextBytesMax = size_t{16} << 10;

std::string Shortened(std::string text) {
  if (text.size() <= kThrownTextBytesMax) return text;
  const std::string note = StrCat("... (", text.size(), " bytes in all)");
  text.resize(kThrownTextBytesMax);
  return text + note;
}

}  // namespace

FailurePtr MakeFailure(wire::FailureKind kind, std::string message, std::string hint) {
  auto failure = std::make_shared<Failure>();
  failure->kind = kind;
  failure->message = std::move(message);
  failure->hint = std::move(hint);
  return failure;
}

FailurePtr FailureOfCurrentException(std::string_view function) {
  ray::internal::ThrownDescription thrown = ray::internal::DescribeCurrentException();
  thrown.what = Shortened(std::move(thrown.what));
  thrown.type = Shortened(std::move(thrown.type));
  auto failure = std::make_shared<Failure>();
  failure->kind = wire::FailureKind::TaskThrew;
  failure->function = function;
  failure->message = StrCat(failure->function, " threw ", thrown.type,
                            thrown.what.empty() ? std::string() : StrCat(": ", thrown.what));
  failure->exception_type = std::move(thrown.type);
  failure->what = std::move(thrown.what);
  failure->pid = ::getpid();
  failure->may_have_run = true;
  return failure;
}

FailurePtr FailureOf(const Error& error, std::string_view doing) {
  return MakeFailure(wire::FailureKind::Other, StrCat(doing, ": ", error.message));
}

FailurePtr AsActorDied(const Failure& failure, bool may_have_run) {
  auto copy = std::make_shared<Failure>(failure);
  copy->kind = wire::FailureKind::ActorDied;
  copy->may_have_run = may_have_run;
  copy->retry_safe = !may_have_run;
  return copy;
}

std::string EncodeFailure(const Failure& failure) {
  const Bytes bytes = Encode(failure);
  return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

FailurePtr DecodeFailure(std::string_view bytes) {
  auto failure = Parse<Failure>(std::as_bytes(std::span(bytes.data(), bytes.size())));
  if (!failure)
    return MakeFailure(wire::FailureKind::Other, StrCat("an unreadable failure: ", failure.error().message));
  return std::make_shared<Failure>(*std::move(failure));
}

void Throw(const Failure& failure) {
  ray::internal::FailureDetails details;
  details.cause = failure.message;
  details.pid = failure.pid;
  details.signal = failure.signal;
  details.may_have_run = failure.may_have_run;
  details.retry_safe = failure.retry_safe;
  details.hint = failure.hint;
  switch (failure.kind) {
    case wire::FailureKind::TaskThrew:
      throw ray::internal::RayTaskException(failure.function, failure.exception_type, failure.what, std::move(details));
    case wire::FailureKind::WorkerDied: throw ray::internal::RayWorkerException(failure.message, std::move(details));
    case wire::FailureKind::ActorDied: throw ray::internal::RayActorException(failure.message, std::move(details));
    case wire::FailureKind::FunctionNotFound:
      throw ray::internal::RayFunctionNotFound(failure.message, std::move(details));
    case wire::FailureKind::ObjectLost:
      throw ray::internal::UnreconstructableException(failure.message, std::move(details));
    case wire::FailureKind::RuntimeEnv:
      throw ray::internal::RayRuntimeEnvException(failure.message, std::move(details));
    case wire::FailureKind::Cancelled:
    case wire::FailureKind::Other: break;
  }
  throw ray::internal::RayException(failure.message, std::move(details));  // also a kind that a newer peer knows
}

void Throw(const Error& error) {
  if (error.code == ErrorCode::kTimedOut) throw ray::internal::RayTimeoutException(error.message);
  if (error.code == ErrorCode::kNotRunning) throw ray::internal::RayNotRunningException(error.message);
  throw ray::internal::RayException(error.message);
}

}  // namespace raylet::client
