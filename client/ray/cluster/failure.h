// Failures: why an object has no value, on the wire and as the exception that ray:: throws. One file has both, so that
// they stay in step. Any thread.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "fbs/messages.h"

namespace raylet::client {

using Failure = wire::FailureT;
using FailurePtr = std::shared_ptr<const Failure>;

FailurePtr MakeFailure(wire::FailureKind kind, std::string message, std::string hint = {});
// In a catch block of worker_loop: what `function` threw.
FailurePtr FailureOfCurrentException(std::string_view function);
// An error of ours (the store is full, …) in place of a value.
FailurePtr FailureOf(const Error& error, std::string_view doing);
// A copy whose kind is ActorDied: what callers of an actor are told.
FailurePtr AsActorDied(const Failure& failure, bool may_have_run);

// At most kFailureBytesMax, with long texts cut.
std::string EncodeFailure(const Failure& failure);
// Bytes from another process; nonsense becomes a failure that says so. Its texts are cut.
FailurePtr DecodeFailure(std::string_view bytes);

// The exception of <ray/api/exceptions.h> that belongs to it.
[[noreturn]] void Throw(const Failure& failure);
[[noreturn]] void Throw(const Error& error);

// The bytes as the text that a stored value's metadata and data are read as.
inline std::string_view AsText(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace raylet::client
