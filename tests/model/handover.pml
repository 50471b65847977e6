/*
 * The hand-over protocol of docs/architecture.md, "Who fires what", as the code does it: ring::next_allocation and newly_dead
 * (src/ring/allocator.cpp), Claims, Duties, Coordinator and AllocatorTask (src/node). checker.py names the configurations that are checked
 * and the mutations that must be caught; docs/model.md says what was found. Inlines bear the names of the functions that they follow.
 *
 * Checked:
 *   I1  no fire is started twice                                                    assert in start()
 *   I2  with no death every fire is started and none is reported as uncertain       assert in Monitor
 *   I3  a task whose owner stays is not touched by a transition                     assert in observe()
 *   and with deaths every fire is started or reported, every transition is settled  assert in Monitor
 *   and no living node is taken for a dead one                                      assert in Allocator
 *
 * What is abstracted, and why nothing is lost by it:
 *   Time. There is no clock. Wherever the code reads one (the bound of a handover, how far the horizon is raised, when a fire is started)
 *     the model takes any value. So pauses, delays, clock skew and steps of a clock are all in it. Instants are 0..FIRES, and the fires of
 *     a task are due at 1..FIRES. One fire is enough to find what is wrong with any fire: the protocol only compares instants and takes
 *     the later or the earlier of two, so that "before the fire" and "at or after it" are all that can matter to it.
 *   Other tasks. With one task in the model, what others do to a record shows as: the horizon may be raised at any time by a member, and
 *     `done` may be lower than this task alone would have it when a session ends. Their floors and their part in `resumed` only delay the
 *     settling, which the allocator may delay as it likes anyway. TASKS=2 has a second task with another owner in full.
 *   The ring. owner() is the first present node in the task's order of preference, which is what a walk along a consistent-hash ring is for
 *     one task. The order is fixed (node 2, 0, 1); which nodes are there at the start varies.
 *   ZooKeeper. A write happens in one instant or, if the session ends first, not at all; nodes see it later, in their own time. After a
 *     session is gone no write of it lands, and its last record stays as it was: so `departed` refers to the record instead of copying it.
 *   The allocator. It is the oldest registration; its view of who is present may be old, and begins anew with each new leader. What it
 *     decides upon the allocation and the dead's records is current, since the multi checks their versions. A decision of a leader that
 *     ends is lost, as a multi that the fence refuses.
 *   Records. Handovers are kept by epoch; one that a record would have dropped is
 *     older than any that is looked for.
 *   Intents. To give a fire out, to write its intent and to start it are one step: each is allowed whenever the next is. A fire whose
 *     intent a dead process left behind is reported by its journal; the model starts it instead, which can only double more.
 *   A crash and the end of the crashed process's session are one step: in between it is a node that pauses. A ghost that is replaced and
 *     sealed is a session that ends. Not modelled: new tasks, changes of placement, erased records, a wiped tree (the random walks and the
 *     simulation have them).
 */

/* --- the configuration */
#ifndef FIRES
#define FIRES 1
#endif
#ifndef TASKS
#define TASKS 1
#endif
#ifndef START
#define START 2 /* nodes 0..START-1 are members from the start, and settled */
#endif
#ifndef INCARNATIONS
#define INCARNATIONS 3 /* begun in all */
#endif
#ifndef EPOCHS
#define EPOCHS 8
#endif
#ifndef JOINS
#define JOINS 0 /* also of nodes that come back, with their journal */
#endif
#ifndef JOINERS
#define JOINERS 7 /* the nodes that may join, one bit each */
#endif
/* QUIET: the horizon is raised for the tasks of the model alone. Less than what can happen; for mutations that show all the same. */
#ifndef LEAVES
#define LEAVES 0
#endif
#ifndef CRASHES
#define CRASHES 0 /* session and process end */
#endif
#ifndef EXPIRIES
#define EXPIRIES 0 /* the session ends, the process goes on within its horizon */
#endif
#ifndef LOST_WRITES
#define LOST_WRITES 0 /* 1: a write may certainly not happen, and is made again */
#endif

#define NONE 255

#define ABSENT 0  /* not begun */
#define LIVE 1    /* process and session */
#define RETIRED 2 /* the process goes on, the session is gone */
#define GONE 3

#define IDLE 0
#define SENT 1
#define LANDED 2 /* done by ZooKeeper, not known to the node */

#define one(i) (1 << (i))
#define has(mask, i) (((mask) >> (i)) & 1)
#define upto(b) ((1 << (b)) - 1)
#define between(a, b) (upto(b) & ~upto(a)) /* the fires in (a, b] */
#define ALL upto(FIRES)
#define below(m) (((m) & 1) -> 0 : (((m) & 2) -> 1 : (((m) & 4) -> 2 : 3))) /* all fires up to here are not in m */
#define most(a, b) ((a) > (b) -> (a) : (b))
#define least(a, b) ((a) < (b) -> (a) : (b))

/* --- the state */

typedef Task {
    bool owned, waiting;
    byte open;      /* fires that may be started once the horizon reaches them */
    byte opening;   /* opened once the epoch is acknowledged */
    byte uncertain; /* to be reported */
    byte given_up;  /* the bound, should it come back */
    byte promised[INCARNATIONS] /* fires that a living earlier owner still had to start */
};

typedef Incarnation {
    byte life, node;
    byte seen; /* epoch */
    bool seen_settled, news;
    byte horizon, floor, handover, resumed; /* what is wanted; resumed: an epoch */
    /* the record that ZooKeeper has acknowledged */
    byte w_epoch, w_horizon, w_done, w_floor, w_resumed;
    /* the write that is out */
    byte flight;
    byte f_epoch, f_horizon, f_done, f_floor, f_resumed;
    byte gave[EPOCHS]; /* handover + 1 by epoch */
    byte left;         /* the epoch in whose `departed` it stands first */
    Task task[TASKS]
};

typedef Epoch {
    byte members;
    byte base; /* oldest epoch of the chain */
    byte owner[TASKS]
};

typedef Journal {
    byte started[TASKS]
};

Incarnation inc[INCARNATIONS];
Epoch ep[EPOCHS];
byte epoch, chain, departed; /* chain: members of all epochs in transition; departed: the dead among them */
bool settled = true; /* `previous` is empty */
byte present, leaving;
byte leader = NONE, m_present, m_leaving; /* the allocator, and what it has seen */
Journal journal[3];
byte reported[TASKS];
byte begun;
byte joins = JOINS, leaves = LEAVES, crashes = CRASHES, expiries = EXPIRIES;
#ifdef M_NO_FENCE
byte old_present, old_leaving;
bool old_leader;
#endif
#if defined(M_STALE_READ) || defined(M_NO_SEAL)
byte m_horizon[INCARNATIONS];
#endif

/* scratch of one step; not part of the state */
hidden byte tk, who, at_, next_, jj, kk, lost, bound, from, to, floor_, unc, ours, got, hh, dead, nodes;
hidden byte ok, found, done_, before, kept;
hidden byte promise[INCARNATIONS];

/* the record as it stands in ZooKeeper */
#define r_epoch(i) (inc[i].flight == LANDED -> inc[i].f_epoch : inc[i].w_epoch)
#define r_horizon(i) (inc[i].flight == LANDED -> inc[i].f_horizon : inc[i].w_horizon)
#define r_done(i) (inc[i].flight == LANDED -> inc[i].f_done : inc[i].w_done)
#ifdef M_NO_FLOOR
#define r_floor(i) 0
#else
#define r_floor(i) (inc[i].flight == LANDED -> inc[i].f_floor : inc[i].w_floor)
#endif
#define r_resumed(i) (inc[i].flight == LANDED -> inc[i].f_resumed : inc[i].w_resumed)

#ifdef M_FORGET_DEPARTED
#define in_departed(i, e) (inc[i].left == (e) && (e) > 0)
#else
#define in_departed(i, e) (inc[i].left > ep[e].base && inc[i].left <= (e))
#endif

#if defined(M_STALE_READ) || defined(M_NO_SEAL)
#define d_horizon(i) m_horizon[i]
#else
#define d_horizon(i) r_horizon(i)
#endif

/* preference of task tk: node at rank r */
#define preference(tk, r) ((tk) == 0 -> ((r) == 0 -> 2 : ((r) == 1 -> 0 : 1)) : ((r) == 0 -> 1 : ((r) == 1 -> 2 : 0)))

/* --- what nodes do */

inline find_owners(e) {
    tk = 0;
    do
    :: tk < TASKS ->
        ep[e].owner[tk] = 0;
        kk = 0;
        do
        :: kk < 3 && ep[e].owner[tk] == 0 ->
            jj = 0;
            do
            :: jj < INCARNATIONS ->
                if
                :: has(ep[e].members, jj) && inc[jj].node == preference(tk, kk) -> ep[e].owner[tk] = jj + 1
                :: else
                fi;
                jj++
            :: else -> break
            od;
            kk++
        :: else -> break
        od;
        tk++
    :: else -> break
    od
}

/* lost: the epoch that took the task away; sets got to the handover + 1, 0 if there is none */
inline find_handover(i, e) {
    got = 0;
    hh = e;
    do
    :: got == 0 && hh <= r_epoch(i) -> got = inc[i].gave[hh]; hh++
    :: else -> break
    od
}

inline open_acknowledged(i) {
    if
#ifdef M_EARLY_START
    :: true ->
#else
    :: inc[i].w_epoch >= inc[i].seen ->
#endif
        jj = 0;
        do
        :: jj < TASKS ->
            assert((inc[i].task[jj].open & inc[i].task[jj].opening) == 0);
            inc[i].task[jj].open = inc[i].task[jj].open | inc[i].task[jj].opening;
            inc[i].task[jj].opening = 0;
            jj++
        :: else -> break
        od
    :: else
    fi
}

/* What departed `who` may have started or not, in (from, to]: to unc and ours. */
inline add_uncertain(i) {
    if
    :: inc[who].node == inc[i].node ->
        unc = unc | between(from, least(to, r_floor(who)));
        ours = ours | between(most(from, r_floor(who)), to)
    :: else -> unc = unc | between(from, to)
    fi
}

/* Claims::resolve_task for task tk of i; records: may those of living owners be looked at */
inline resolve_task(i, records) {
    floor_ = inc[i].task[tk].given_up;
    unc = 0;
    ours = 0;
    ok = true;
    kk = 0;
    do
    :: kk < INCARNATIONS -> promise[kk] = 0; kk++
    :: else -> break
    od;
    at_ = ep[inc[i].seen].base;
    do
    :: ok && at_ < inc[i].seen ->
        who = ep[at_].owner[tk] - 1; /* NONE if there is none */
        next_ = at_ + 1;
        do
        :: next_ < inc[i].seen && ep[next_].owner[tk] == ep[at_].owner[tk] -> next_++
        :: else -> break
        od;
        lost = next_;
#ifdef M_ONE_OWNER
        kk = next_;
        do
        :: kk < inc[i].seen ->
            if
            :: ep[kk].owner[tk] == ep[at_].owner[tk] -> lost = kk + 1
            :: else
            fi;
            kk++
        :: else -> break
        od;
#endif
        if
        :: who == NONE || who == i
        :: who != NONE && who != i && in_departed(who, inc[i].seen) ->
            if
            :: r_epoch(who) >= at_ ->
#ifdef M_LAST_HORIZON
                got = 0;
#else
                find_handover(who, lost);
#endif
                bound = (got == 0 -> d_horizon(who) : least(got - 1, d_horizon(who)));
#ifdef M_DONE_OF_ALL
                from = most(floor_, r_done(who));
#else
                from = (r_resumed(who) >= at_ -> most(floor_, r_done(who)) : floor_); /* Claims::tells_done() */
#endif
                to = bound;
                add_uncertain(i);
                floor_ = most(floor_, bound)
            :: else
            fi
        :: else ->
            find_handover(who, lost);
            if
            :: records && got > 0 ->
                promise[who] = promise[who] | between(floor_, got - 1);
                floor_ = most(floor_, got - 1)
#ifdef M_NO_WAIT
            :: !(records && got > 0)
#else
            :: else -> ok = false
#endif
            fi
        fi;
        at_ = next_
    :: else -> break
    od
}

inline take_over(i) {
    printf("%d takes over task %d beyond %d, uncertain %d, for its journal %d\n", i, tk, floor_, unc, ours);
    inc[i].task[tk].waiting = false;
    inc[i].task[tk].owned = true;
    inc[i].task[tk].uncertain = inc[i].task[tk].uncertain | unc;
    inc[i].task[tk].opening = inc[i].task[tk].opening | ours | between(floor_, FIRES);
    kk = 0;
    do
    :: kk < INCARNATIONS -> inc[i].task[tk].promised[kk] = promise[kk]; kk++
    :: else -> break
    od;
#ifndef M_NO_RAISE
    inc[i].floor = most(inc[i].floor, floor_);
    inc[i].horizon = most(inc[i].horizon, floor_)
#endif
}

inline try_resolve(i, records) {
    inc[i].news = false;
    found = false;
    tk = 0;
    do
    :: tk < TASKS ->
        if
        :: inc[i].task[tk].waiting ->
            resolve_task(i, records);
            if
            :: ok -> take_over(i)
            :: else -> found = true
            fi
        :: else
        fi;
        tk++
    :: else -> break
    od;
    open_acknowledged(i);
    if
    :: !found -> inc[i].resumed = inc[i].seen
    :: else
    fi
}

inline lose(i) {
    printf("%d gives task %d up, keeps it up to %d\n", i, tk, inc[i].handover);
    inc[i].task[tk].owned = false;
    inc[i].task[tk].given_up = inc[i].handover;
    inc[i].task[tk].open = inc[i].task[tk].open & upto(inc[i].handover);
    inc[i].task[tk].opening = inc[i].task[tk].opening & upto(inc[i].handover);
    kk = 0;
    do
    :: kk < INCARNATIONS -> inc[i].task[tk].promised[kk] = 0; kk++
    :: else -> break
    od
}

inline report_broken_promises(i) {
    who = 0;
    do
    :: who < INCARNATIONS ->
        if
        :: inc[i].task[tk].promised[who] != 0 && in_departed(who, inc[i].seen) ->
            unc = 0;
            ours = 0;
            from = r_done(who);
            to = r_horizon(who);
            add_uncertain(i);
            inc[i].task[tk].uncertain = inc[i].task[tk].uncertain | (unc & inc[i].task[tk].promised[who]);
            inc[i].task[tk].opening = inc[i].task[tk].opening | (ours & inc[i].task[tk].promised[who]);
            inc[i].task[tk].promised[who] = 0
        :: else
        fi;
        who++
    :: else -> break
    od
}

/* Duties::observe; got: the handover */
inline observe(i) {
    if
    :: inc[i].seen == epoch -> skip
    :: else ->
        printf("%d sees allocation %d; bound %d\n", i, epoch, got);
        before = inc[i].seen;
        inc[i].seen = epoch;
        inc[i].seen_settled = false;
        inc[i].handover = got;
        inc[i].gave[epoch] = got + 1;
        inc[i].horizon = most(inc[i].horizon, got);
        tk = 0;
        do
        :: tk < TASKS ->
            kept = inc[i].task[tk].owned;
            at_ = before;
            do
            :: at_ <= epoch -> kept = kept && ep[at_].owner[tk] == i + 1; at_++
            :: else -> break
            od;
            to = inc[i].task[tk].open | inc[i].task[tk].opening;
            if
            :: ep[epoch].owner[tk] != i + 1 ->
                inc[i].task[tk].waiting = false;
                if
                :: inc[i].task[tk].owned -> lose(i)
                :: else
                fi
            :: else ->
#ifdef M_ALL_WAIT
                if
                :: inc[i].task[tk].owned -> lose(i)
                :: else
                fi;
#endif
                if
                :: !inc[i].task[tk].owned -> inc[i].task[tk].waiting = true
                :: else
                fi
            fi;
            assert(!kept || (inc[i].task[tk].owned && (inc[i].task[tk].open | inc[i].task[tk].opening) == to)); /* I3 */
            tk++
        :: else -> break
        od;
#ifndef M_NO_REPORT
        tk = 0;
        do
        :: tk < TASKS ->
            if
            :: inc[i].task[tk].owned -> report_broken_promises(i)
            :: else
            fi;
            tk++
        :: else -> break
        od;
#endif
    fi;
    if
    :: settled ->
        printf("%d sees that allocation %d is settled\n", i, epoch);
        inc[i].seen_settled = true;
        tk = 0;
        do
        :: tk < TASKS ->
            inc[i].task[tk].given_up = 0;
            kk = 0;
            do
            :: kk < INCARNATIONS -> inc[i].task[tk].promised[kk] = 0; kk++
            :: else -> break
            od;
            tk++
        :: else -> break
        od
    :: else
    fi;
    try_resolve(i, false);
    inc[i].news = found
}

#if TASKS == 1
#define all_of(i, what) (inc[i].task[0].what)
#else
#define all_of(i, what) (inc[i].task[0].what | inc[i].task[1].what)
#endif

#ifdef M_DONE_AHEAD
#define done_now(i) least(inc[i].w_horizon, below(all_of(i, open)))
#else
#define done_now(i) least(inc[i].w_horizon, below(all_of(i, open) | all_of(i, opening) | all_of(i, uncertain)))
#endif

#define something_to_say(i) (inc[i].seen != inc[i].w_epoch || inc[i].resumed != inc[i].w_resumed || inc[i].horizon > inc[i].w_horizon || \
    done_now(i) != inc[i].w_done)

inline send(i) {
    inc[i].f_epoch = inc[i].seen;
    inc[i].f_horizon = inc[i].horizon;
    inc[i].f_done = done_;
    inc[i].f_floor = inc[i].floor;
    inc[i].f_resumed = inc[i].resumed;
    inc[i].flight = SENT;
    printf("%d writes {epoch %d horizon %d done %d floor %d resumed %d}\n", i, inc[i].f_epoch, inc[i].f_horizon, inc[i].f_done,
           inc[i].f_floor, inc[i].f_resumed)
}

inline clear_flight(i) {
    inc[i].flight = IDLE;
    inc[i].f_epoch = 0;
    inc[i].f_horizon = 0;
    inc[i].f_done = 0;
    inc[i].f_floor = 0;
    inc[i].f_resumed = 0
}

inline keep_flight(i) {
    inc[i].w_epoch = inc[i].f_epoch;
    inc[i].w_horizon = inc[i].f_horizon;
    inc[i].w_done = inc[i].f_done;
    inc[i].w_floor = inc[i].f_floor;
    inc[i].w_resumed = inc[i].f_resumed;
    clear_flight(i)
}

inline land(i) {
    printf("%d: its write has landed\n", i);
    inc[i].flight = LANDED;
    jj = 0;
    do
    :: jj < INCARNATIONS ->
        if
        :: jj != i && inc[jj].life == LIVE && all_of(jj, waiting) -> inc[jj].news = true
        :: else
        fi;
        jj++
    :: else -> break
    od
}

inline written(i) {
    printf("%d knows its write\n", i);
    keep_flight(i);
    open_acknowledged(i)
}

#define next_fire(i, tk) (below(inc[i].task[tk].open) + 1)
#ifdef M_NO_HORIZON
#define permitted(i, tk) (inc[i].task[tk].open != 0)
#else
#ifdef M_UNACKNOWLEDGED
#define permitted(i, tk) (inc[i].task[tk].open != 0 && next_fire(i, tk) <= most(inc[i].w_horizon, inc[i].f_horizon))
#else
#define permitted(i, tk) (inc[i].task[tk].open != 0 && next_fire(i, tk) <= inc[i].w_horizon)
#endif
#endif

inline start(i, tk) {
    printf("%d starts fire %d of task %d\n", i, next_fire(i, tk), tk);
    got = one(next_fire(i, tk) - 1);
    inc[i].task[tk].open = inc[i].task[tk].open & ~got;
    kk = inc[i].node;
    if
    :: journal[kk].started[tk] & got /* its journal knows that it was started */
    :: else ->
        assert(((journal[0].started[tk] | journal[1].started[tk] | journal[2].started[tk]) & got) == 0); /* I1 */
        journal[kk].started[tk] = journal[kk].started[tk] | got
    fi;
    forget_retired(i)
}

/* A retired incarnation with nothing left to do. */
inline forget_retired(i) {
    if
    :: inc[i].life == RETIRED && all_of(i, open) == 0 && all_of(i, uncertain) == 0 -> go(i)
    :: else
    fi
}

/* The process is gone; only the record stays. */
inline go(i) {
    printf("%d is gone\n", i);
    inc[i].life = GONE;
    if
    :: inc[i].flight == LANDED -> keep_flight(i)
    :: else
    fi;
    jj = 0;
    do
    :: jj < TASKS ->
        inc[i].task[jj].open = 0;
        inc[i].task[jj].uncertain = 0;
        jj++
    :: else -> break
    od;
    forget_record(i)
}

/* The record of one that is gone and stands in no chain is looked at by nobody. */
inline forget_record(i) {
    if
    :: inc[i].life == GONE && !has(chain | ep[epoch].members, i) ->
        clear_flight(i);
        inc[i].w_epoch = 0;
        inc[i].w_horizon = 0;
        inc[i].w_done = 0;
        inc[i].w_floor = 0;
        inc[i].w_resumed = 0;
        inc[i].left = 0;
        jj = 0;
        do
        :: jj < EPOCHS -> inc[i].gave[jj] = 0; jj++
        :: else -> break
        od
    :: else
    fi
}

/* The session ends. landed: does the write that is out still land? lower: `done` was held back by other tasks. */
inline end_session(i, landed, lower) {
    printf("the session of %d ends; its write lands: %d\n", i, landed);
    if
    :: inc[i].flight == SENT ->
        if
        :: landed -> inc[i].flight = LANDED
        :: else -> clear_flight(i)
        fi
    :: else
    fi;
    if
    :: lower ->
        inc[i].w_done = 0;
        inc[i].f_done = 0
    :: else
    fi;
    present = present & ~one(i);
    leaving = leaving & ~one(i);
    if
    :: leader == i ->
#ifdef M_NO_FENCE
        old_leader = true;
        old_present = m_present;
        old_leaving = m_leaving;
#endif
        leader = NONE;
        m_present = 0;
        m_leaving = 0
    :: else
    fi;
    inc[i].life = RETIRED;
    inc[i].seen = 0;
    inc[i].seen_settled = false;
    inc[i].resumed = 0;
    inc[i].news = false;
    inc[i].horizon = 0;
    inc[i].floor = 0;
    inc[i].handover = 0;
    jj = 0;
    do
    :: jj < EPOCHS ->
        if
        :: jj > r_epoch(i) -> inc[i].gave[jj] = 0
        :: else
        fi;
        jj++
    :: else -> break
    od;
    jj = 0;
    do
    :: jj < TASKS ->
#if !defined(M_NO_HORIZON)
        inc[i].task[jj].open = inc[i].task[jj].open & upto(inc[i].w_horizon);
#endif
        inc[i].task[jj].opening = 0;
        inc[i].task[jj].owned = false;
        inc[i].task[jj].waiting = false;
        inc[i].task[jj].given_up = 0;
        kk = 0;
        do
        :: kk < INCARNATIONS -> inc[i].task[jj].promised[kk] = 0; kk++
        :: else -> break
        od;
        jj++
    :: else -> break
    od;
    forget_retired(i)
}

/* A node registers; at the start of all, its record is empty. */
inline begin(node_) {
    printf("%d begins on node %d\n", begun, node_);
    inc[begun].life = LIVE;
    inc[begun].node = node_;
    present = present | one(begun);
    begun++
}

/* Duties::handed_over */
#define told(i) (inc[i].gave[inc[i].w_epoch] == 0 || inc[i].w_done + 1 >= inc[i].gave[inc[i].w_epoch])
#ifdef M_LEAVE_WAITING
#define waits(i) false
#else
#define waits(i) all_of(i, waiting)
#endif
#define handed_over(i) (all_of(i, owned) == 0 && !waits(i) && all_of(i, open) == 0 && all_of(i, uncertain) == 0 && \
    inc[i].w_epoch == inc[i].seen && told(i))

#ifdef M_IGNORE_FLIGHT
#define bound_of(i) most(inc[i].handover, inc[i].w_horizon)
#else
#define bound_of(i) most(inc[i].handover, most(inc[i].w_horizon, inc[i].f_horizon))
#endif

#if TASKS == 1
#define owns_now(i) (ep[epoch].owner[0] == (i) + 1)
#else
#define owns_now(i) (ep[epoch].owner[0] == (i) + 1 || ep[epoch].owner[1] == (i) + 1)
#endif
#define concerned(i) (all_of(i, owned) || all_of(i, waiting) || owns_now(i))

#ifdef QUIET
#define may_raise(i) (all_of(i, owned) || all_of(i, waiting) || all_of(i, open))
#else
#define may_raise(i) (has(ep[inc[i].seen].members, i) || all_of(i, open))
#endif

proctype Node(byte i) {
end:
    do
    /* the allocation is seen */
    :: atomic {
        inc[i].life == LIVE && (inc[i].seen < epoch || (settled && !inc[i].seen_settled)) ->
        if
        :: inc[i].seen == epoch -> got = 0
        :: inc[i].seen < epoch -> got = bound_of(i)
        :: inc[i].seen < epoch && concerned(i) && bound_of(i) + 1 <= FIRES -> got = bound_of(i) + 1
        :: inc[i].seen < epoch && concerned(i) && bound_of(i) + 2 <= FIRES -> got = bound_of(i) + 2
        :: inc[i].seen < epoch && concerned(i) && bound_of(i) + 3 <= FIRES -> got = bound_of(i) + 3
        fi;
        d_step { observe(i); skip }
    }
    /* the records of the others are seen */
    :: d_step { inc[i].life == LIVE && inc[i].news -> try_resolve(i, true); skip }
    /* the record is written */
    :: d_step { inc[i].life == LIVE && inc[i].flight == IDLE && something_to_say(i) -> done_ = done_now(i); send(i); skip }
    :: atomic {
        inc[i].life == LIVE && inc[i].flight == IDLE && inc[i].horizon < FIRES && may_raise(i) ->
        if
        :: inc[i].horizon = inc[i].horizon + 1
        :: inc[i].horizon + 2 <= FIRES -> inc[i].horizon = inc[i].horizon + 2
        :: inc[i].horizon + 3 <= FIRES -> inc[i].horizon = inc[i].horizon + 3
        fi;
        d_step { done_ = done_now(i); send(i); skip }
    }
    :: d_step { inc[i].life == LIVE && inc[i].flight == SENT -> land(i); skip }
#if LOST_WRITES
    :: d_step { inc[i].life == LIVE && inc[i].flight == SENT -> clear_flight(i); skip }
#endif
    :: d_step { inc[i].life == LIVE && inc[i].flight == LANDED -> written(i); skip }
    /* a fire is started */
    :: d_step { (inc[i].life == LIVE || inc[i].life == RETIRED) && permitted(i, 0) -> start(i, 0); skip }
#if TASKS > 1
    :: d_step { (inc[i].life == LIVE || inc[i].life == RETIRED) && permitted(i, 1) -> start(i, 1); skip }
#endif
    /* what is uncertain is reported */
    :: d_step {
        (inc[i].life == LIVE || inc[i].life == RETIRED) && all_of(i, uncertain) != 0 ->
        printf("%d reports what is uncertain: %d\n", i, all_of(i, uncertain));
        tk = 0;
        do
        :: tk < TASKS ->
            reported[tk] = reported[tk] | inc[i].task[tk].uncertain;
            inc[i].task[tk].uncertain = 0;
            tk++
        :: else -> break
        od;
        forget_retired(i);
        skip
    }
    /* a leave is over */
    :: atomic {
        inc[i].life == LIVE && has(leaving, i) && handed_over(i) ->
        if
        :: got = 0
        :: inc[i].flight == SENT -> got = 1
        fi;
        d_step { end_session(i, got, false); go(i); skip }
    }
    od
}

/* --- the allocator */

#define in_transition (!settled && ep[epoch].members != 0)
#define newly_dead(mirror) ((settled -> ep[epoch].members : chain) & ~(mirror) & ~departed)
#ifdef M_LEAVE_CHAIN
#define has_done(i) true
#else
#define has_done(i) (inc[i].gave[epoch] != 0 && r_done(i) + 1 >= inc[i].gave[epoch])
#endif
#ifdef M_NO_RESUMED
#define has_resumed(i) true
#else
#define has_resumed(i) (!has(ep[epoch].members, i) || r_resumed(i) == epoch)
#endif
#define is_through(i) (!has(chain & m_present, i) || (r_epoch(i) == epoch && has_resumed(i) && has_done(i)))
#if INCARNATIONS == 1
#define all_through is_through(0)
#elif INCARNATIONS == 2
#define all_through (is_through(0) && is_through(1))
#elif INCARNATIONS == 3
#define all_through (is_through(0) && is_through(1) && is_through(2))
#elif INCARNATIONS == 4
#define all_through (is_through(0) && is_through(1) && is_through(2) && is_through(3))
#else
#define all_through (is_through(0) && is_through(1) && is_through(2) && is_through(3) && is_through(4))
#endif
#ifdef M_EAGER_JOIN
#define next_nodes(admit, mirror, away) ((mirror) & ~(away))
#else
#define next_nodes(admit, mirror, away) \
    ((in_transition -> ep[epoch].members & (mirror) : ((admit) -> (mirror) & ~(away) : ep[epoch].members & (mirror) & ~(away))))
#endif
#ifdef M_EAGER_JOIN
#define changes(admit, mirror, away) (newly_dead(mirror) != 0 || next_nodes(admit, mirror, away) != ep[epoch].members)
#else
#define changes(admit, mirror, away) \
    (newly_dead(mirror) != 0 || (!in_transition && next_nodes(admit, mirror, away) != ep[epoch].members))
#endif

inline settle() {
    printf("allocation %d is settled\n", epoch);
    settled = true;
    chain = 0;
    departed = 0;
    who = 0;
    do
    :: who < INCARNATIONS -> inc[who].left = 0; forget_record(who); who++
    :: else -> break
    od;
    /* what nobody looks at any more, so that states that differ in it alone are one */
    at_ = 0;
    do
    :: at_ < epoch ->
        ep[at_].members = 0;
        ep[at_].base = 0;
        tk = 0;
        do
        :: tk < TASKS -> ep[at_].owner[tk] = 0; tk++
        :: else -> break
        od;
        who = 0;
        do
        :: who < INCARNATIONS -> inc[who].gave[at_] = 0; who++
        :: else -> break
        od;
        at_++
    :: else -> break
    od
}

inline change(admit, mirror, away) {
    dead = newly_dead(mirror);
    nodes = next_nodes(admit, mirror, away);
    assert(epoch + 1 < EPOCHS);
    ep[epoch + 1].base = (settled -> epoch : ep[epoch].base);
    ep[epoch + 1].members = nodes;
    chain = (settled -> ep[epoch].members : chain) | nodes;
    settled = false;
    epoch++;
    find_owners(epoch);
    printf("allocation %d: members %d, newly dead %d, owner of task 0: %d\n", epoch, nodes, dead, ep[epoch].owner[0]);
    departed = departed | dead;
    who = 0;
    do
    :: who < INCARNATIONS ->
        if
        :: has(dead, who) ->
#ifdef M_NO_SEAL
            m_horizon[who] = r_horizon(who);
#endif
            inc[who].left = epoch
        :: else
        fi;
        who++
    :: else -> break
    od
}

inline look() {
    printf("the allocator %d sees: present %d, leaving %d\n", leader, present, leaving);
    m_present = present;
    m_leaving = leaving;
#ifdef M_STALE_READ
    who = 0;
    do
    :: who < INCARNATIONS ->
        if
        :: has(present, who) -> m_horizon[who] = r_horizon(who)
        :: else
        fi;
        who++
    :: else -> break
    od
#endif
}

proctype Allocator() {
end:
    do
    :: d_step {
        leader == NONE && present != 0 ->
        leader = below(present); /* the oldest */
        look();
        skip
    }
    :: d_step { leader != NONE && (m_present != present || m_leaving != leaving) -> look(); skip }
    :: d_step { leader != NONE && in_transition && newly_dead(m_present) == 0 && all_through -> settle(); skip }
    :: d_step { leader != NONE && changes(true, m_present, m_leaving) ->
#ifndef MUTATION
        assert((newly_dead(m_present) & present) == 0);
#endif
        change(true, m_present, m_leaving);
        skip
    }
    :: d_step { leader != NONE && !in_transition && changes(false, m_present, m_leaving) -> change(false, m_present, m_leaving); skip }
#ifdef M_NO_FENCE
    :: d_step { old_leader && changes(true, old_present, old_leaving) -> change(true, old_present, old_leaving); old_leader = false; skip }
#endif
    od
}

#define here(i, n_) (has(present, i) && inc[i].node == (n_))
#if INCARNATIONS == 1
#define registered(n_) here(0, n_)
#elif INCARNATIONS == 2
#define registered(n_) (here(0, n_) || here(1, n_))
#elif INCARNATIONS == 3
#define registered(n_) (here(0, n_) || here(1, n_) || here(2, n_))
#elif INCARNATIONS == 4
#define registered(n_) (here(0, n_) || here(1, n_) || here(2, n_) || here(3, n_))
#else
#define registered(n_) (here(0, n_) || here(1, n_) || here(2, n_) || here(3, n_) || here(4, n_))
#endif
#define staying (present & ~leaving)
#define can_begin (begun < INCARNATIONS && (joins > 0))

proctype Environment() {
end:
    do
    :: d_step { can_begin && has(JOINERS, 0) && !registered(0) -> joins--; begin(0); skip }
    :: d_step { can_begin && has(JOINERS, 1) && !registered(1) -> joins--; begin(1); skip }
    :: d_step { can_begin && has(JOINERS, 2) && !registered(2) -> joins--; begin(2); skip }
#if LEAVES
    :: d_step { leaves > 0 && has(staying, 0) && (staying & ~1) != 0 -> leaves--; leaving = leaving | 1; skip }
#if INCARNATIONS > 1
    :: d_step { leaves > 0 && has(staying, 1) && (staying & ~2) != 0 -> leaves--; leaving = leaving | 2; skip }
#endif
#if INCARNATIONS > 2
    :: d_step { leaves > 0 && has(staying, 2) && (staying & ~4) != 0 -> leaves--; leaving = leaving | 4; skip }
#endif
#endif
    od
}

/* What may befall one incarnation. */
proctype Fate(byte i) {
end:
    do
    :: atomic {
        crashes > 0 && inc[i].life == LIVE ->
        crashes--;
        if
        :: next_ = 0
        :: inc[i].flight == SENT -> next_ = 1
        fi;
        if
        :: lost = 0
        :: inc[i].w_done > 0 || inc[i].f_done > 0 -> lost = 1
        fi;
        d_step {
            end_session(i, next_, lost);
            who = 0;
            do
            :: who < INCARNATIONS -> /* an earlier incarnation lived in the same process */
                if
                :: inc[who].life == RETIRED && inc[who].node == inc[i].node -> go(who)
                :: else
                fi;
                who++
            :: else -> break
            od;
            skip
        }
    }
    :: atomic {
        expiries > 0 && inc[i].life == LIVE ->
        expiries--;
        if
        :: next_ = 0
        :: inc[i].flight == SENT -> next_ = 1
        fi;
        if
        :: lost = 0
        :: inc[i].w_done > 0 || inc[i].f_done > 0 -> lost = 1
        fi;
#ifdef M_NO_SEAL
        d_step {
            present = present & ~one(i);
            if
            :: leader == i -> leader = NONE; m_present = 0
            :: else
            fi
        }
#else
        d_step { end_session(i, next_, lost); skip }
#endif
    }
    od
}

/* Sets the stage; judges once no other process can do anything. */
active proctype Monitor() {
    d_step {
        begin(0);
#if START > 1
        begin(1);
#endif
#if START > 2
        begin(2);
#endif
#ifndef FROM_NOTHING
        epoch = 1;
        ep[1].members = upto(START);
        settled = true;
        find_owners(1);
        who = 0;
        do
        :: who < START ->
            inc[who].seen = 1;
            inc[who].seen_settled = true;
            inc[who].resumed = 1;
            inc[who].w_epoch = 1;
            inc[who].w_resumed = 1;
            inc[who].gave[1] = 1;
            tk = 0;
            do
            :: tk < TASKS ->
                if
                :: ep[1].owner[tk] == who + 1 -> inc[who].task[tk].owned = true; inc[who].task[tk].open = ALL
                :: else
                fi;
                tk++
            :: else -> break
            od;
            who++
        :: else -> break
        od;
        tk = 0; who = 0; jj = 0; kk = 0;
#endif
    }
    atomic {
        jj = 0;
        do
        :: jj < INCARNATIONS -> run Node(jj);
#if CRASHES || EXPIRIES
            run Fate(jj);
#endif
            jj++
        :: else -> break
        od;
        run Allocator();
        run Environment()
    }
    atomic {
        timeout ->
        if
        :: staying != 0 ->
            assert(settled);
            tk = 0;
            do
            :: tk < TASKS ->
                got = journal[0].started[tk] | journal[1].started[tk] | journal[2].started[tk];
#if CRASHES || EXPIRIES
                assert((got | reported[tk]) == ALL);
#else
                assert(got == ALL);         /* I2 */
                assert(reported[tk] == 0); /* I2 */
#endif
                tk++
            :: else -> break
            od
        :: else
        fi
    }
end: false
}
