#include "client/ray/cluster/call_arguments.h"

#include <algorithm>
#include <iterator>
#include <memory>
#include <utility>

#include <ray/api/exceptions.h>

#include "base/strings.h"
#include "client/ray/cluster/lent_hold.h"
#include "client/ray/cluster/raylet_link.h"
#include "client/ray/cluster/references.h"
#include "client/ray/cluster/store_access.h"

namespace raylet::client {

static_assert(ray::internal::kRestBytesMin > kInlineValueBytesMax);  // so an inline value is in one piece

namespace {

using ray::internal::Argument;

// Its reference, which is of this session.
const ClusterObject& ObjectIn(const Argument& argument) {
  return static_cast<const ClusterObject&>(*argument.reference);
}

}  // namespace

ClusterObjectPtr PutObject(const ObjectParts& parts, ray::internal::Packed value) {
  auto object = std::make_shared<ClusterObject>(parts, parts.link.NewId(), /*owned=*/true);
  ray::internal::Hold lend;
  if (!value.holds.empty()) lend = LentHold::OfAll(std::move(value.holds));
  if (value.size() <= kInlineValueBytesMax) {
    object->FulfilInline(std::move(value.bytes), std::move(lend));
  } else {
    const std::string metadata = MetadataOf(value.bytes, /*refers=*/lend != nullptr);
    const ValueBytes bytes{value.bytes, value.rest};
    if (const auto stored = parts.store.Write(object->id(), bytes, metadata); !stored) Throw(stored.error());
    object->FulfilStored(std::move(lend));
  }
  return object;
}

CallArguments::CallArguments(const ObjectParts& parts, std::vector<Argument> arguments) {
  if (arguments.size() > kCallArgumentsMax)
    throw ray::internal::RayException(
        StrCat("a call has ", arguments.size(), " arguments; at most ", kCallArgumentsMax, " are possible"));
  arguments_ = std::move(arguments);
  size_t inline_bytes = 0;
  for (Argument& argument : arguments_) {
    ray::internal::Packed& packed = argument.value;
    const size_t bytes = packed.size();
    if (argument.reference != nullptr) {
      ray::internal::CheckSession(*argument.reference, &parts);
      packed = {};
    } else if (bytes > kInlineValueBytesMax || inline_bytes + bytes > kInlineCallBytesMax) {
      const ClusterObjectPtr object = PutObject(parts, std::move(packed));
      if (bytes <= kInlineValueBytesMax) {
        if (const auto promoted = object->Promote(); !promoted) Throw(promoted.error());
      }
      argument.reference = object;
      packed = {};
    } else {
      inline_bytes += bytes;
      if (holds_.empty())
        holds_ = std::move(packed.holds);
      else
        std::move(packed.holds.begin(), packed.holds.end(), std::back_inserter(holds_));
      packed.holds = {};
    }
  }
}

size_t CallArguments::inline_bytes() const {
  size_t bytes = 0;
  for (const Argument& argument : arguments_) bytes += argument.value.bytes.size();
  return bytes;
}

ClusterObjectPtr CallArguments::FirstUnready() const {
  for (const Argument& argument : arguments_)
    if (argument.reference != nullptr && ObjectIn(argument).owned() && !ObjectIn(argument).ready())
      return std::static_pointer_cast<ClusterObject>(argument.reference);
  return nullptr;
}

FailurePtr CallArguments::Resolve(std::vector<ValueView>& out) {
  out.clear();
  size_t inline_total = inline_bytes();
  for (const Argument& argument : arguments_) {
    ValueView view;
    view.bytes = argument.value.bytes;
    if (argument.reference != nullptr) {
      const auto object = std::static_pointer_cast<ClusterObject>(argument.reference);
      switch (object->status()) {
        case ObjectStatus::kFailed: return object->failure();
        case ObjectStatus::kInline: {
          const size_t bytes = object->bytes().size();
          // Holds the object itself if its value refers to others; otherwise its bytes are enough.
          if (bytes <= kInlineValueBytesMax && inline_total + bytes <= kInlineCallBytesMax) {
            inline_total += bytes;
            view.bytes = object->bytes();
            if (object->lend() != nullptr) holds_.push_back(LentHold::OfObject(object));
            break;
          }
          if (const auto promoted = object->Promote(); !promoted) return FailureOf(promoted.error(), "an argument");
          [[fallthrough]];
        }
        case ObjectStatus::kPending:  // borrowed: the callee waits for the object
        case ObjectStatus::kStored:
          view = ValueView{ValueView::Kind::kStored, {}, object->id()};
          holds_.push_back(LentHold::OfObject(object));
          break;
      }
    }
    out.push_back(view);
  }
  return nullptr;
}

}  // namespace raylet::client
