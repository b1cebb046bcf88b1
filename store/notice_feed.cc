#include "store/notice_feed.h"

namespace raylet::store {

bool NoticeFeed::Sealed(uint32_t entry, const ObjectNotice& notice) {
  if (Untold(entry)) changed_.insert(entry);
  waiting_.push_back(notice);
  return waiting() <= kNoticesWaitingMax;
}

bool NoticeFeed::Gone(uint32_t entry, const ObjectId& id) {
  if (Untold(entry) && changed_.insert(entry).second) return waiting() <= kNoticesWaitingMax;  // never mentioned
  waiting_.push_back(GoneNotice(id));
  return waiting() <= kNoticesWaitingMax;
}

}  // namespace raylet::store
