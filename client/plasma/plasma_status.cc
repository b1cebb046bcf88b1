#include "client/plasma/plasma_status.h"

#include <cstdio>
#include <cstdlib>
#include <ostream>
#include <utility>

#include "base/id.h"
#include "base/result.h"

namespace raylet::client {

plasma::Status ToStatus(const Error& error) {
  using plasma::StatusCode;
  const auto code = [&] {
    switch (error.code) {
      case ErrorCode::kOk: return StatusCode::OK;
      case ErrorCode::kAlreadyExists: return StatusCode::PlasmaObjectExists;
      case ErrorCode::kNotFound: return StatusCode::PlasmaObjectNotFound;
      case ErrorCode::kFull: return StatusCode::PlasmaStoreFull;
      case ErrorCode::kTooLarge: return StatusCode::ObjectTooLarge;
      case ErrorCode::kTimedOut: return StatusCode::TimedOut;
      case ErrorCode::kDisconnected: return StatusCode::Disconnected;
      case ErrorCode::kNotRunning: return StatusCode::NotRunning;
      case ErrorCode::kForked: return StatusCode::ForkedClient;
      case ErrorCode::kNotAllowed: return StatusCode::NotAllowed;
      case ErrorCode::kProtocolError:
      case ErrorCode::kVersionMismatch:
      case ErrorCode::kSlowConsumer:
      case ErrorCode::kLimit:
      case ErrorCode::kIo: return StatusCode::IOError;
      case ErrorCode::kInvalid:
      case ErrorCode::kWrongState:
      case ErrorCode::kCancelled:
      case ErrorCode::kUnavailable: break;
    }
    return StatusCode::Invalid;
  }();
  return {code, error.message};
}

}  // namespace raylet::client

namespace plasma {

UniqueID UniqueID::from_random() { return raylet::client::ToPublic(raylet::ObjectId::FromRandom()); }

UniqueID UniqueID::from_binary(std::string_view binary) {
  return raylet::client::ToPublic(raylet::ObjectId::FromBinary(binary));
}

std::string UniqueID::hex() const { return raylet::ToHex(id_, sizeof id_); }
size_t UniqueID::hash() const { return raylet::client::FromPublic(*this).Hash(); }

StatusCode Status::arrow_code() const {
  switch (code_) {
    case StatusCode::PlasmaObjectExists: return StatusCode::AlreadyExists;
    case StatusCode::PlasmaObjectNotFound: return StatusCode::KeyError;
    case StatusCode::PlasmaObjectAlreadySealed: return StatusCode::TypeError;
    case StatusCode::PlasmaStoreFull:
    case StatusCode::ObjectTooLarge: return StatusCode::CapacityError;
    case StatusCode::Disconnected:
    case StatusCode::NotRunning:
    case StatusCode::NotAllowed: return StatusCode::IOError;
    case StatusCode::ForkedClient: return StatusCode::Invalid;
    default: return code_;
  }
}

std::string Status::CodeAsString(StatusCode code) {
  switch (code) {
    case StatusCode::OK: return "OK";
    case StatusCode::OutOfMemory: return "Out of memory";
    case StatusCode::KeyError: return "Key error";
    case StatusCode::TypeError: return "Type error";
    case StatusCode::Invalid: return "Invalid";
    case StatusCode::IOError: return "IOError";
    case StatusCode::CapacityError: return "Capacity error";
    case StatusCode::IndexError: return "Index error";
    case StatusCode::Cancelled: return "Cancelled";
    case StatusCode::UnknownError: return "Unknown error";
    case StatusCode::NotImplemented: return "NotImplemented";
    case StatusCode::SerializationError: return "Serialization error";
    case StatusCode::AlreadyExists: return "Already exists";
    case StatusCode::PlasmaObjectExists: return "PlasmaObjectExists";
    case StatusCode::PlasmaObjectNotFound: return "PlasmaObjectNotFound";
    case StatusCode::PlasmaObjectAlreadySealed: return "PlasmaObjectAlreadySealed";
    case StatusCode::PlasmaStoreFull: return "PlasmaStoreFull";
    case StatusCode::ObjectTooLarge: return "ObjectTooLarge";
    case StatusCode::TimedOut: return "TimedOut";
    case StatusCode::Disconnected: return "Disconnected";
    case StatusCode::NotRunning: return "NotRunning";
    case StatusCode::ForkedClient: return "ForkedClient";
    case StatusCode::NotAllowed: return "NotAllowed";
  }
  return "Unknown";
}

std::string Status::ToString() const {
  if (ok()) return "OK";
  return CodeAsString() + ": " + message_;
}

void Status::Warn(const std::string& before) const {
  std::fprintf(stderr, "%s%s%s\n", before.c_str(), before.empty() ? "" : ": ", ToString().c_str());
}

void Status::Abort(const std::string& before) const {
  Warn(before);
  std::abort();
}

std::ostream& operator<<(std::ostream& out, const Status& status) { return out << status.ToString(); }

Status MakePlasmaError(PlasmaErrorCode code, std::string message) {
  const auto kind = [&] {
    switch (code) {
      case PlasmaErrorCode::PlasmaObjectExists: return StatusCode::PlasmaObjectExists;
      case PlasmaErrorCode::PlasmaObjectNotFound: return StatusCode::PlasmaObjectNotFound;
      case PlasmaErrorCode::PlasmaStoreFull: return StatusCode::PlasmaStoreFull;
      case PlasmaErrorCode::PlasmaObjectAlreadySealed: return StatusCode::PlasmaObjectAlreadySealed;
    }
    return StatusCode::UnknownError;
  }();
  return {kind, std::move(message)};
}

}  // namespace plasma
