#include "client/plasma/plasma_status.h"

#include <plasma/buffer.h>

#include "base/check.h"
#include "base/id.h"

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

namespace {
const char* NameOf(StatusCode code) {
  switch (code) {
    case StatusCode::OK: return "OK";
    case StatusCode::Invalid: return "Invalid";
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
    case StatusCode::IOError: return "IOError";
  }
  return "Unknown";
}
}  // namespace

std::string Status::ToString() const {
  if (ok()) return "OK";
  return std::string(NameOf(code_)) + ": " + message_;
}

Buffer::Buffer(std::shared_ptr<Buffer> parent, int64_t offset, int64_t size)
    : data_(parent->data() + offset), size_(size), parent_(std::move(parent)) {
  RAYLET_CHECK(offset >= 0 && size >= 0 && offset <= parent_->size() && size <= parent_->size() - offset, "a slice of ",
               size, " bytes from ", offset, " of a buffer of ", parent_->size());
  if (parent_->is_mutable()) mutable_data_ = parent_->mutable_data() + offset;
}
Buffer::~Buffer() = default;
MutableBuffer::~MutableBuffer() = default;

bool Buffer::Equals(const Buffer& other) const {
  return size_ == other.size_ &&
         (data_ == other.data_ || size_ == 0 || std::memcmp(data_, other.data_, static_cast<size_t>(size_)) == 0);
}

}  // namespace plasma
