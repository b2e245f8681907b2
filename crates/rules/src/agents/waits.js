// opencode tells nobody that it waits between two tries, nor how long a provider told it to wait. This does, a line of JSON each.
export const Waits = async () => ({
  event: async ({ event }) => {
    if (event.type === "session.status" && event.properties?.status?.type === "retry") console.error(JSON.stringify(event))
  },
})
