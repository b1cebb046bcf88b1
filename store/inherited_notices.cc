#include "store/inherited_notices.h"

#include <algorithm>
#include <utility>

namespace raylet::store {

bool InheritedNotices::Add(uint32_t client, std::vector<ObjectId> objects) {
  const size_t count = 1 + objects.size();
  // One inheritance always fits: it is no larger than the index.
  if (!waiting_.empty() && waiting_count_ + count > kInheritedWaitingMax) return false;
  waiting_count_ += count;
  waiting_.push_back({client, std::move(objects)});
  return true;
}

wire::InheritedNoticeT InheritedNotices::TakeNext() {
  Left& left = waiting_.front();
  const size_t end = std::min(left.told + kIdsPerInheritedNotice, left.objects.size());
  wire::InheritedNoticeT notice;
  notice.client = left.client;
  notice.ids.reserve(end - left.told);
  for (; left.told < end; ++left.told) notice.ids.push_back(ToWire(left.objects[left.told]));
  notice.last = left.told == left.objects.size();
  if (notice.last) {
    waiting_count_ -= 1 + left.objects.size();
    waiting_.pop_front();
  }
  return notice;
}

}  // namespace raylet::store
